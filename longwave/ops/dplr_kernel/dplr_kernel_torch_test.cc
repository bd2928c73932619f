// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_kernel/dplr_kernel_torch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::ops {
namespace {

/// Random leaves, complex ones as (..., 2) real tensors as layers hold them.
struct Leaves {
  Leaves(torch::ScalarType type, int64_t rank, int64_t channels, int64_t modes) {
    torch::manual_seed(5);
    const auto options = torch::TensorOptions().dtype(torch::kFloat64);
    Lambda = torch::randn({channels, modes, 2}, options);
    Lambda.select(-1, 0).abs_().neg_().sub_(0.2);
    Lambda.select(-1, 1).mul_(5);
    P = torch::randn({rank, channels, modes, 2}, options);
    B = torch::randn({channels, modes, 2}, options);
    Ct = torch::randn({channels, modes, 2}, options);
    dt = torch::rand({channels}, options) * 0.1 + 0.01;
    // Both precisions start from the same numbers.
    for (torch::Tensor* x : all()) *x = x->to(torch::kFloat32).to(type).requires_grad_();
  }
  std::vector<torch::Tensor*> all() { return {&Lambda, &P, &B, &Ct, &dt}; }

  torch::Tensor loss(int64_t length) {
    const torch::Tensor K = dplr_kernel({.Lambda = torch::view_as_complex(Lambda),
                                         .P = torch::view_as_complex(P),
                                         .B = torch::view_as_complex(B),
                                         .Ct = torch::view_as_complex(Ct),
                                         .dt = dt,
                                         .length = length});
    return (K * torch::arange(K.numel(), K.options()).view_as(K).sin()).sum();
  }

  torch::Tensor Lambda, P, B, Ct, dt;
};

class DplrKernelTorch : public ::testing::TestWithParam<int64_t> {};

TEST_P(DplrKernelTorch, GradientMatchesFiniteDifference) {
  constexpr int64_t kLength = 9;
  constexpr double kStep = 1e-5;
  Leaves x(torch::kFloat64, GetParam(), 2, 3);
  x.loss(kLength).backward();
  torch::NoGradGuard guard;
  for (torch::Tensor* operand : x.all()) {
    if (operand->numel() == 0) continue;
    const double scale = operand->grad().abs().max().item<double>();
    torch::Tensor flat = operand->view(-1), gradient = operand->grad().view(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      flat[i] += kStep;
      const double above = x.loss(kLength).item<double>();
      flat[i] -= 2 * kStep;
      const double below = x.loss(kLength).item<double>();
      flat[i] += kStep;
      // Truncation is of order step^2, rounding of order eps / step.
      const double bound = 1e-5 * (scale + std::abs(above));
      EXPECT_NEAR((above - below) / (2 * kStep), gradient[i].item<double>(), bound);
    }
  }
}

TEST_P(DplrKernelTorch, FloatGradientsEqualDoubleOnes) {
  constexpr int64_t kLength = 128;
  Leaves fast(torch::kFloat32, GetParam(), 40, 6), slow(torch::kFloat64, GetParam(), 40, 6);
  fast.loss(kLength).backward();
  slow.loss(kLength).backward();
  for (size_t i = 0; i < fast.all().size(); ++i) {
    const torch::Tensor expected = slow.all()[i]->grad();
    if (expected.numel() == 0) continue;
    const double error =
        (fast.all()[i]->grad().to(torch::kFloat64) - expected).abs().max().item<double>();
    const double bound = 256 * std::numeric_limits<float>::epsilon();
    EXPECT_LE(error, bound * expected.abs().max().item<double>()) << "operand " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, DplrKernelTorch, ::testing::Values(0, 1, 2, 3));

TEST(DplrKernelTorch, TakesExpandedOperands) {
  Leaves x(torch::kFloat32, 1, 1, 4);
  const auto shared = [](const torch::Tensor& t) {
    return torch::view_as_complex(t).expand({5, 4});
  };
  const torch::Tensor K = dplr_kernel({.Lambda = shared(x.Lambda),
                                       .P = torch::view_as_complex(x.P).expand({1, 5, 4}),
                                       .B = shared(x.B),
                                       .Ct = shared(x.Ct),
                                       .dt = x.dt.expand({5}),
                                       .length = 16});
  EXPECT_TRUE(torch::allclose(K[0], K[4]));
  K.sum().backward();
  EXPECT_EQ(x.Lambda.grad().sizes(), x.Lambda.sizes());
}

TEST(DplrKernelTorch, RejectsBadShapes) {
  Leaves x(torch::kFloat32, 1, 2, 3);
  DplrKernelCall call{.Lambda = torch::view_as_complex(x.Lambda),
                      .P = torch::view_as_complex(x.P),
                      .B = torch::view_as_complex(x.B),
                      .Ct = torch::view_as_complex(x.Ct),
                      .dt = x.dt.slice(0, 0, 1),
                      .length = 4};
  EXPECT_THROW(dplr_kernel(call), InvalidArgument);
  call.dt = x.dt;
  call.length = 0;
  EXPECT_THROW(dplr_kernel(call), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
