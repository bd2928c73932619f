// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_rnn/gated_rnn_operations_torch.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::variable_list;

constexpr int64_t kBatch = 3, kHidden = 5;

// Both sides are float64 and amplify rounding by at most the product of some ten steps.
constexpr double kBound = 1e-11;

Tensor numbers(torch::IntArrayRef size) { return torch::randn(size, torch::kFloat64); }

/// Not yet written.
Tensor poisoned(torch::IntArrayRef size) {
  return torch::full(size, std::numeric_limits<double>::quiet_NaN(), torch::kFloat64);
}

void expect_equal(const variable_list& expected, const variable_list& got) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(torch::allclose(expected[i], got[i], kBound, kBound)) << "result " << i;
  }
}

/// No marks, and marks at the first step, twice in a row, and elsewhere.
std::vector<Tensor> marks(int64_t time) {
  Tensor some = (torch::rand({kBatch, time}) < 0.3).to(torch::kUInt8);
  some.slice(0, 0, 1).slice(1, 0, 2).fill_(1);
  return {Tensor(), some};
}

TEST(GatedRnnOperations, LstmAgreesWithTheOperator) {
  torch::manual_seed(1);
  for (const int64_t time : {0, 1, 2, 9}) {
    for (const Tensor& starts : marks(time)) {
      const Tensor p = numbers({kBatch, time, 4 * kHidden}).requires_grad_();
      const Tensor W = numbers({4 * kHidden, kHidden});
      const Tensor h = numbers({kBatch, kHidden}).requires_grad_();
      const Tensor c = numbers({kBatch, kHidden}).requires_grad_();
      const LstmScanTorch out = lstm_scan(p, W, h, c, starts);
      LstmScanTensors got = {.p = p,
                             .W = W,
                             .starts = starts,
                             .h = h.detach().clone(),
                             .c = c.detach().clone(),
                             .y = poisoned({kBatch, time, kHidden}),
                             .gates = poisoned({kBatch, time, 4 * kHidden}),
                             .cells = poisoned({kBatch, time, kHidden})};
      lstm_scan_of_operations(got);
      expect_equal({out.y, out.h, out.c}, {got.y, got.h, got.c});

      const Tensor dy = numbers({kBatch, time, kHidden});
      const Tensor dh = numbers({kBatch, kHidden}), dc = numbers({kBatch, kHidden});
      const variable_list expected =
          torch::autograd::grad({out.y, out.h, out.c}, {p, h, c}, {dy, dh, dc});
      LstmScanGradTensors back = {.gates = got.gates,
                                  .cells = got.cells,
                                  .c0 = c,
                                  .W = W,
                                  .starts = starts,
                                  .dy = dy,
                                  .dh = dh,
                                  .dc = dc,
                                  .dp = poisoned({kBatch, time, 4 * kHidden})};
      lstm_scan_grad_of_operations(back);
      expect_equal(expected, {back.dp, back.dh, back.dc});
    }
  }
}

TEST(GatedRnnOperations, GruAgreesWithTheOperator) {
  torch::manual_seed(2);
  for (const int64_t time : {0, 1, 2, 9}) {
    for (const Tensor& starts : marks(time)) {
      const Tensor p = numbers({kBatch, time, 3 * kHidden}).requires_grad_();
      const Tensor W = numbers({3 * kHidden, kHidden}), b = numbers({kHidden});
      const Tensor h = numbers({kBatch, kHidden}).requires_grad_();
      const GruScanTorch out = gru_scan(p, W, b, h, starts);
      GruScanTensors got = {.p = p,
                            .W = W,
                            .b = b,
                            .starts = starts,
                            .h = h.detach().clone(),
                            .y = poisoned({kBatch, time, kHidden}),
                            .gates = poisoned({kBatch, time, 4 * kHidden})};
      gru_scan_of_operations(got);
      expect_equal({out.y, out.h}, {got.y, got.h});

      const Tensor dy = numbers({kBatch, time, kHidden}), dh = numbers({kBatch, kHidden});
      const variable_list expected = torch::autograd::grad({out.y, out.h}, {p, h}, {dy, dh});
      GruScanGradTensors back = {.gates = got.gates,
                                 .y = got.y,
                                 .h0 = h,
                                 .W = W,
                                 .starts = starts,
                                 .dy = dy,
                                 .dh = dh,
                                 .d = poisoned({kBatch, time, 4 * kHidden})};
      gru_scan_grad_of_operations(back);
      const Tensor dp =
          torch::cat({back.d.slice(2, 0, 2 * kHidden), back.d.slice(2, 3 * kHidden)}, 2);
      expect_equal(expected, {dp, back.dh});
    }
  }
}

}  // namespace
}  // namespace longwave::ops
