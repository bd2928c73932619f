// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_operations_torch.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace longwave::ops {
namespace {

using torch::Tensor;

// Both sides are float64 and sum some hundred terms.
constexpr double kBound = 1e-10;

Tensor leaf(torch::IntArrayRef size) {
  return torch::randn(size, torch::kFloat64).requires_grad_();
}

double distance(const Tensor& a, const Tensor& b) {
  return a.numel() == 0 ? 0 : ((a - b).norm() / (b.norm() + 1e-12)).item<double>();
}

std::vector<Tensor> gradients(const Tensor& y, const AttentionInput& in) {
  torch::manual_seed(2);
  return torch::autograd::grad({(y * torch::randn_like(y)).sum()}, {in.q, in.k, in.v});
}

TEST(AttentionOperations, AgreeWithTheOperator) {
  torch::manual_seed(1);
  for (const auto& [time, past, window] :
       {std::array<int64_t, 3>{1, 0, 1}, {37, 0, 100}, {50, 20, 9}, {1, 8, 5}, {64, 64, 128}}) {
    for (const bool packed : {false, true}) {
      AttentionInput in = {.scale = 0.7,
                           .window = window,
                           .q = leaf({2, time, 6, 5}),
                           .k = leaf({2, past + time, 3, 5}),
                           .v = leaf({2, past + time, 3, 5}),
                           .seen = {},
                           .starts = {}};
      if (packed) {
        in.starts = torch::rand({2, time}) < 0.1;
        in.seen = torch::tensor({past, past / 2}, torch::kInt64);
      }
      const Tensor expected = attention(in), got = attention_of_operations(in);
      EXPECT_LT(distance(got, expected), kBound) << time << " steps, window " << window;
      const std::vector<Tensor> wanted = gradients(expected, in), found = gradients(got, in);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_LT(distance(found[i], wanted[i]), kBound) << time << " steps, gradient " << i;
      }
    }
  }
}

TEST(AttentionOperations, PositionsCountFromStartsAndOnFromBefore) {
  const Tensor like = torch::zeros({2, 5});
  const Tensor seen = torch::tensor({7, 100}, torch::kInt64);
  const Tensor starts = torch::tensor({0, 0, 1, 0, 0, 1, 0, 0, 1, 0}, torch::kInt64).view({2, 5});
  const Tensor expected = torch::tensor({7, 8, 0, 1, 2, 0, 1, 2, 0, 1}, torch::kInt64).view({2, 5});
  EXPECT_TRUE(torch::equal(positions_of_steps(seen, starts, like), expected));
  EXPECT_TRUE(torch::equal(positions_of_steps({}, {}, like),
                           torch::arange(5, torch::kInt64).expand({2, 5})));
}

TEST(AttentionOperations, RotaryAgreesWithTheOperator) {
  torch::manual_seed(1);
  const Tensor x = torch::randn({2, 9, 3, 8}, torch::kFloat64);
  const Tensor start = torch::tensor({0, 4000}, torch::kInt64);
  for (const RotaryPairs pairs : {RotaryPairs::kHalves, RotaryPairs::kNeighbours}) {
    for (const int64_t dims : {2, 6, 8}) {
      const RotarySettings settings = {.pairs = pairs, .base = 500, .dims = dims};
      const Tensor got = rotary_of_operations(settings, x, positions_of_steps(start, Tensor(), x));
      EXPECT_LT(distance(got, rotary(settings, x, start)), 1e-12) << dims;
    }
  }
}

}  // namespace
}  // namespace longwave::ops
