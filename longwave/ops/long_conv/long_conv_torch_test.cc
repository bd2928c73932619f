// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/long_conv_torch.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::ops {
namespace {

struct Operands {
  explicit Operands(torch::ScalarType type, int64_t time = 11, int64_t taps = 8) {
    torch::manual_seed(3);
    const auto options = torch::TensorOptions().dtype(torch::kFloat64);
    u = torch::randn({2, time, 3}, options);
    K = torch::randn({3, taps}, options);
    K_ahead = torch::randn({3, taps - 2}, options);
    d = torch::randn({3}, options);
    for (torch::Tensor* x : all()) *x = x->to(type).requires_grad_();
  }
  std::vector<torch::Tensor*> all() { return {&u, &K, &K_ahead, &d}; }

  torch::Tensor u, K, K_ahead, d;
};

/// A loss that weighs every output differently.
torch::Tensor loss(Operands& x) {
  const torch::Tensor y = long_conv(x.u, x.K, x.K_ahead, x.d);
  const torch::Tensor weights = torch::arange(y.numel(), y.options()).view_as(y).sin();
  return (y * weights).sum();
}

TEST(LongConvTorch, GradientMatchesFiniteDifference) {
  Operands x(torch::kFloat64);
  loss(x).backward();
  // Linear in each operand: a large step is exact but for rounding.
  constexpr double kStep = 0.5;
  torch::NoGradGuard guard;
  for (torch::Tensor* operand : x.all()) {
    torch::Tensor flat = operand->view(-1), gradient = operand->grad().view(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      flat[i] += kStep;
      const double above = loss(x).item<double>();
      flat[i] -= 2 * kStep;
      const double below = loss(x).item<double>();
      flat[i] += kStep;
      const double bound = 1e4 * std::numeric_limits<double>::epsilon();
      EXPECT_NEAR(above - below, gradient[i].item<double>(), bound);
    }
  }
}

TEST(LongConvTorch, FloatGradientsEqualDoubleOnes) {
  Operands fast(torch::kFloat32, 200, 150), slow(torch::kFloat64, 200, 150);
  loss(fast).backward();
  loss(slow).backward();
  for (size_t i = 0; i < fast.all().size(); ++i) {
    const torch::Tensor expected = slow.all()[i]->grad();
    const double error =
        (fast.all()[i]->grad().to(torch::kFloat64) - expected).abs().max().item<double>();
    const double norm = expected.norm().item<double>();
    EXPECT_LE(error, 64 * std::numeric_limits<float>::epsilon() * norm) << "operand " << i;
  }
}

TEST(LongConvTorch, TakesTransposedAndExpandedOperands) {
  const torch::Tensor u = torch::randn({2, 5, 40}).transpose(1, 2);
  const torch::Tensor K = torch::randn({1, 40}).expand({5, 40});
  EXPECT_TRUE(torch::equal(long_conv(u, K), long_conv(u.contiguous(), K.contiguous())));
  torch::Tensor shared = torch::randn({1, 40}).requires_grad_();
  long_conv(u, shared.expand({5, 40})).sum().backward();
  EXPECT_EQ(shared.grad().sizes(), shared.sizes());
}

TEST(LongConvTorch, WorksWithoutTheOptionalOperands) {
  torch::Tensor u = torch::randn({1, 70, 2}).requires_grad_();
  const torch::Tensor K = torch::zeros({2, 3});
  K.select(1, 1).fill_(1);
  const torch::Tensor y = long_conv(u, K);
  EXPECT_TRUE(torch::allclose(y.slice(1, 1), u.slice(1, 0, 69), 1e-5, 1e-5));
  y.sum().backward();
  EXPECT_NEAR(u.grad().sum().item<double>(), 2 * 69, 1e-3);
}

TEST(LongConvTorch, RejectsMixedPrecision) {
  EXPECT_THROW(long_conv(torch::randn({1, 4, 2}), torch::randn({2, 4}, torch::kFloat64)),
               InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
