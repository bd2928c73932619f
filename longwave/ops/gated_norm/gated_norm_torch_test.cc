// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm_torch.h"

#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::expect_gradients;
using testing::weighted_sum;
using torch::Tensor;

GatedNormInput random_input(GateOrder order, int64_t groups) {
  torch::manual_seed(1);
  const auto leaf = [](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).requires_grad_();
  };
  return {.order = order,
          .groups = groups,
          .epsilon = 0.1,
          .x = leaf({2, 3, 12}),
          .z = leaf({2, 3, 12}),
          .w = leaf({12})};
}

TEST(GatedNormTorch, GradientMatchesFiniteDifference) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    for (const int64_t groups : {1, 3, 12}) {
      GatedNormInput in = random_input(order, groups);
      const auto loss = [&] { return weighted_sum(gated_norm(in)); };
      expect_gradients(loss, {{"x", in.x}, {"z", in.z}, {"w", in.w}});
      in.z = Tensor();
      expect_gradients(loss, {{"x", in.x}, {"w", in.w}});
    }
  }
}

TEST(GatedNormTorch, EqualsTheFormulaAndTakesStrides) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    GatedNormInput in = random_input(order, 3);
    const auto rms = [](const Tensor& v) {
      const Tensor grouped = v.view({2, 3, 3, 4});
      return (grouped / (grouped.square().mean(-1, true) + 0.1).sqrt()).view({2, 3, 12});
    };
    const Tensor expected = order == GateOrder::kBefore ? rms(in.x * torch::silu(in.z)) * in.w
                                                        : rms(in.x) * in.w * torch::silu(in.z);
    EXPECT_TRUE(torch::allclose(expected, gated_norm(in), 1e-12, 1e-12));
    in.x = in.x.transpose(0, 2).contiguous().transpose(0, 2);
    EXPECT_TRUE(torch::allclose(expected, gated_norm(in), 1e-12, 1e-12));
  }
}

TEST(GatedNormTorch, RejectsBadShapes) {
  GatedNormInput in = random_input(GateOrder::kBefore, 5);
  EXPECT_THROW(gated_norm(in), InvalidArgument);
  in = random_input(GateOrder::kBefore, 1);
  in.z = in.z.narrow(0, 0, 1);
  EXPECT_THROW(gated_norm(in), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
