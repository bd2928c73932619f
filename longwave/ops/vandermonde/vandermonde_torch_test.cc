// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vandermonde/vandermonde_torch.h"

#include <gtest/gtest.h>

#include <limits>

#include "longwave/base/error.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

/// Poles inside the unit disc and random weights, as (re, im) leaves.
struct Leaves {
  explicit Leaves(torch::ScalarType type) {
    torch::manual_seed(4);
    const auto options = torch::TensorOptions().dtype(torch::kFloat64);
    a = (0.6 * torch::rand({2, 3, 2}, options)).to(torch::kFloat32).to(type).requires_grad_();
    c = torch::randn({2, 3, 2}, options).to(torch::kFloat32).to(type).requires_grad_();
  }
  torch::Tensor loss(int64_t length) const {
    return longwave::testing::weighted_sum(
        vandermonde(torch::view_as_complex(a), torch::view_as_complex(c), length));
  }
  torch::Tensor a, c;
};

TEST(VandermondeTorch, GradientMatchesFiniteDifference) {
  const Leaves x(torch::kFloat64);
  longwave::testing::expect_gradients([&] { return x.loss(12); }, {{"a", x.a}, {"c", x.c}});
}

TEST(VandermondeTorch, FloatGradientsEqualDoubleOnes) {
  const Leaves fast(torch::kFloat32), slow(torch::kFloat64);
  fast.loss(300).backward();
  slow.loss(300).backward();
  const double bound = 256 * std::numeric_limits<float>::epsilon();
  for (const auto& [got, expected] :
       {std::pair(fast.a.grad(), slow.a.grad()), std::pair(fast.c.grad(), slow.c.grad())}) {
    const double error = (got.to(torch::kFloat64) - expected).abs().max().item<double>();
    EXPECT_LE(error, bound * expected.abs().max().item<double>());
  }
}

TEST(VandermondeTorch, RejectsBadShapes) {
  const torch::Tensor a = torch::zeros({2, 3}, torch::kComplexFloat);
  EXPECT_THROW(vandermonde(a, a.slice(1, 0, 2), 4), InvalidArgument);
  EXPECT_THROW(vandermonde(a, a, -1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
