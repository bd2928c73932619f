// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dense_scan/dense_scan_torch.h"

#include <gtest/gtest.h>

#include <limits>

#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;

struct Operands {
  Operands(int64_t batch, int64_t time, int64_t channels, int64_t n) {
    torch::manual_seed(time + 7 * n);
    const auto options = torch::TensorOptions().dtype(torch::kFloat64);
    u = torch::randn({batch, time, channels}, options);
    A = torch::randn({channels, n, n}, options) * 0.5 / std::sqrt(static_cast<double>(n));
    B = torch::randn({channels, n}, options);
    C = torch::randn({channels, n}, options);
    d = torch::randn({channels}, options);
    state = torch::randn({batch, channels, n}, options);
    for (Tensor* x : {&u, &A, &B, &C, &d, &state}) x->requires_grad_();
  }
  DenseScanOutput run() const { return dense_scan(u, A, B, C, d, state); }

  Tensor u, A, B, C, d, state;
};

/// The recurrence, step by step.
DenseScanOutput recurrence(const Operands& o) {
  std::vector<Tensor> outputs;
  Tensor x = o.state;
  for (int64_t t = 0; t < o.u.size(1); ++t) {
    const Tensor u = o.u.select(1, t);
    x = torch::einsum("cij,bcj->bci", {o.A, x}) + o.B * u.unsqueeze(2);
    outputs.push_back((o.C * x).sum(2) + o.d * u);
  }
  return {outputs.empty() ? torch::zeros_like(o.u) : torch::stack(outputs, 1), x};
}

TEST(DenseScanTorch, ChunkedEqualsRecurrent) {
  torch::NoGradGuard guard;
  for (int64_t time : {0, 1, 5, 63, 64, 65, 128, 200}) {
    const Operands operands(2, time, 3, 6);
    const DenseScanOutput chunked = operands.run(), expected = recurrence(operands);
    const double bound = 1e3 * std::numeric_limits<double>::epsilon();
    ASSERT_EQ(chunked.y.sizes(), operands.u.sizes());
    EXPECT_LE((chunked.state - expected.state).abs().max().item<double>(), bound) << time;
    if (time == 0) continue;
    EXPECT_LE((chunked.y - expected.y).abs().max().item<double>(), bound) << time;
  }
}

TEST(DenseScanTorch, StartsFromZeroWithoutAState) {
  Operands operands(2, 70, 2, 3);
  const Tensor none;
  const auto without = dense_scan(operands.u, operands.A, operands.B, operands.C, operands.d, none);
  operands.state = torch::zeros_like(operands.state);
  EXPECT_TRUE(torch::equal(without.y, operands.run().y));
}

TEST(DenseScanTorch, GradientMatchesFiniteDifference) {
  for (int64_t time : {3, 67}) {
    const Operands o(1, time, 2, 3);
    const auto loss = [&] {
      const DenseScanOutput out = o.run();
      return longwave::testing::weighted_sum(out.y) + longwave::testing::weighted_sum(out.state);
    };
    longwave::testing::expect_gradients(
        loss, {{"u", o.u}, {"A", o.A}, {"B", o.B}, {"C", o.C}, {"d", o.d}, {"state", o.state}});
  }
}

}  // namespace
}  // namespace longwave::ops
