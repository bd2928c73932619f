// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe_torch.h"

#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::expect_gradients;
using testing::weighted_sum;
using torch::Tensor;

// Logits far enough apart that a difference quotient does not change the choice.
Tensor spread_logits(int64_t tokens, int64_t experts) {
  torch::manual_seed(1);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < tokens; ++t) {
    rows.push_back(torch::randperm(experts, torch::kFloat64) * 0.3);
  }
  return torch::stack(rows).requires_grad_();
}

TEST(MoeTorch, GradientMatchesFiniteDifference) {
  for (const RouterWeights kind : {RouterWeights::kOfAll, RouterWeights::kOfChosen}) {
    for (const int64_t k : {1, 2, 5}) {
      const Tensor logits = spread_logits(7, 5);
      const Tensor x = torch::randn({7, 3}, torch::kFloat64).requires_grad_();
      const Tensor gains = torch::randn({5, 1}, torch::kFloat64).requires_grad_();
      const auto loss = [&] {
        const Routing routing = route({kind, k}, logits);
        const Tensor expert = routing.chosen.reshape({-1}).index_select(0, routing.order);
        const Tensor rows = gather(routing, x) * gains.index_select(0, expert);
        return weighted_sum(combine(routing, rows.square())) + 3 * routing.balance;
      };
      expect_gradients(loss, {{"logits", logits}, {"x", x}, {"gains", gains}});
    }
  }
}

TEST(MoeTorch, EqualsTheDenseForm) {
  const Tensor logits = spread_logits(20, 6), x = torch::randn({20, 4}, torch::kFloat64);
  const Tensor w = torch::randn({6, 4, 4}, torch::kFloat64);
  const Routing routing = route({RouterWeights::kOfAll, 3}, logits);
  const Tensor sorted = gather(routing, x);
  std::vector<Tensor> parts;
  for (int64_t e = 0; e < 6; ++e) {
    const int64_t first = routing.first[e].item<int64_t>();
    parts.push_back(
        torch::matmul(sorted.narrow(0, first, routing.counts[e].item<int64_t>()), w[e]));
  }
  const Tensor got = combine(routing, torch::cat(parts));
  const Tensor p = logits.softmax(-1);
  const Tensor dense = torch::zeros_like(p).scatter(1, routing.chosen, p.gather(1, routing.chosen));
  const Tensor expected = torch::einsum("te,tc,ecd->td", {dense, x, w});
  EXPECT_TRUE(torch::allclose(expected, got, 1e-10, 1e-12));
  const Tensor share = routing.counts.to(torch::kFloat64) / 60;
  EXPECT_NEAR((6 * share * p.mean(0)).sum().item<double>(), routing.balance.item<double>(), 1e-14);
}

TEST(MoeTorch, GradientsFlowThroughEitherOutput) {
  const Tensor logits = spread_logits(5, 4);
  const Routing routing = route({RouterWeights::kOfChosen, 2}, logits);
  const auto of_balance = torch::autograd::grad({routing.balance}, {logits}, {}, true);
  const auto of_weights =
      torch::autograd::grad({weighted_sum(routing.weights)}, {logits}, {}, true);
  const auto both =
      torch::autograd::grad({routing.balance + weighted_sum(routing.weights)}, {logits});
  EXPECT_TRUE(torch::allclose(of_balance[0] + of_weights[0], both[0], 1e-12, 1e-14));
}

TEST(MoeTorch, RejectsBadShapes) {
  EXPECT_THROW(route({RouterWeights::kOfAll, 5}, torch::zeros({3, 4})), InvalidArgument);
  EXPECT_THROW(route({RouterWeights::kOfAll, 0}, torch::zeros({3, 4})), InvalidArgument);
  EXPECT_THROW(route({RouterWeights::kOfAll, 1}, torch::zeros({3})), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
