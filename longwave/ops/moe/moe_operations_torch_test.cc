// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe_operations_torch.h"

#include <gtest/gtest.h>

#include <limits>

namespace longwave::ops {
namespace {

using torch::Tensor;

// Both sides are float64 and sum some ten numbers.
constexpr double kBound = 1e-12;

bool near(const Tensor& a, const Tensor& b) { return torch::allclose(a, b, kBound, kBound); }

TEST(MoeOperations, RoutingAgreesWithTheOperator) {
  torch::manual_seed(1);
  for (const RouterWeights kind : {RouterWeights::kOfAll, RouterWeights::kOfChosen}) {
    for (const int64_t tokens : {0, 1, 40}) {
      for (const int64_t k : {1, 2, 6}) {
        // Halves, so that some are equal.
        const Tensor logits =
            (torch::randn({tokens, 6}, torch::kFloat64) * 2).round().div(2).requires_grad_();
        const Routing expected = route({kind, k}, logits);
        const Routing got = route_of_operations({kind, k}, logits);
        EXPECT_TRUE(torch::equal(got.chosen, expected.chosen)) << tokens << " tokens, k " << k;
        EXPECT_TRUE(torch::equal(got.counts, expected.counts));
        EXPECT_TRUE(torch::equal(got.order, expected.order));
        EXPECT_TRUE(torch::equal(got.place, expected.place));
        EXPECT_TRUE(torch::equal(got.first, expected.first));
        EXPECT_TRUE(near(got.weights, expected.weights));
        EXPECT_TRUE(near(got.balance, expected.balance));
        const Tensor slope = torch::randn_like(got.weights);
        const auto gradient = [&](const Routing& routing) {
          const Tensor sum = (routing.weights * slope).sum() + 3 * routing.balance;
          return torch::autograd::grad({sum}, {logits})[0];
        };
        EXPECT_TRUE(near(gradient(got), gradient(expected)));
      }
    }
  }
}

TEST(MoeOperations, WhatIsNoNumberIsChosenLast) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor logits = torch::tensor({{nan, 1.0, nan, 2.0}}, torch::kFloat64);
  const Tensor chosen = route_of_operations({RouterWeights::kOfChosen, 4}, logits).chosen;
  EXPECT_TRUE(torch::equal(chosen, torch::tensor({{3, 1, 0, 2}}, torch::kInt64)));
}

TEST(MoeOperations, RowsGoWhereTheOperatorsPutThem) {
  torch::manual_seed(2);
  for (const int64_t tokens : {0, 1, 23}) {
    const Tensor logits = torch::randn({tokens, 4}, torch::kFloat64);
    const Routing routing = route({RouterWeights::kOfAll, 3}, logits);
    const Tensor x = torch::randn({tokens, 5}, torch::kFloat64);
    EXPECT_TRUE(torch::equal(gather_of_operations(x, routing.order), gather(routing, x)));

    const Tensor rows = torch::randn({3 * tokens, 5}, torch::kFloat64).requires_grad_();
    Routing weighted = routing;
    weighted.weights = routing.weights.detach().requires_grad_();
    const Tensor y = combine(weighted, rows);
    EXPECT_TRUE(near(combine_of_operations(rows, weighted.weights, routing.place), y));
    const Tensor ones = torch::ones_like(routing.weights);
    EXPECT_TRUE(near(combine_of_operations(rows, Tensor(), routing.place),
                     combine_of_operations(rows, ones, routing.place)));

    const Tensor dy = torch::randn_like(y);
    const auto expected = torch::autograd::grad({y}, {rows, weighted.weights}, {dy});
    const CombineGradients got =
        combine_gradients_of_operations(rows, weighted.weights, routing.place, dy);
    EXPECT_TRUE(near(got.drows, expected[0]));
    EXPECT_TRUE(near(got.dweights, expected[1]));
  }
}

}  // namespace
}  // namespace longwave::ops
