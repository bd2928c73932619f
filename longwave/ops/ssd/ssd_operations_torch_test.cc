// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_operations_torch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace longwave::ops {
namespace {

using torch::Tensor;

struct Shape {
  int64_t batch, time, heads, head_dim, groups, state;
};

SsdInput leaves(const Shape& shape) {
  torch::manual_seed(3);
  const auto [batch, time, heads, head_dim, groups, state] = shape;
  const auto draw = [](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).requires_grad_();
  };
  return {.x = draw({batch, time, heads, head_dim}),
          .dt = draw({batch, time, heads}),
          .A = (-0.1 - 3 * torch::rand({heads}, torch::kFloat64)).requires_grad_(),
          .B = draw({batch, time, groups, state}),
          .C = draw({batch, time, groups, state}),
          .D = draw({heads, head_dim}),
          .dt_bias = draw({heads}),
          .h0 = draw({batch, heads, head_dim, state}),
          .starts = {}};
}

std::vector<Tensor> gradients(const SsdOutput& out, const SsdInput& in) {
  torch::manual_seed(4);
  const Tensor loss =
      (out.y * torch::randn_like(out.y)).sum() + (out.h * torch::randn_like(out.h)).sum();
  return torch::autograd::grad({loss}, {in.x, in.dt, in.A, in.B, in.C, in.D, in.dt_bias, in.h0});
}

double distance(const Tensor& a, const Tensor& b) {
  return a.numel() == 0 ? 0 : ((a - b).norm() / (b.norm() + 1e-12)).item<double>();
}

TEST(SsdOperations, AgreeWithTheRecurrence) {
  constexpr double kBound = 1e-10;  // float64 on both sides; sums of some hundred terms
  for (const Shape& shape : {Shape{2, 1, 2, 3, 1, 4}, Shape{1, 64, 4, 2, 2, 3},
                             Shape{2, 65, 4, 3, 1, 5}, Shape{1, 200, 6, 4, 3, 8}}) {
    for (const bool packed : {false, true}) {
      SsdInput in = leaves(shape);
      if (packed) in.starts = (torch::rand({shape.batch, shape.time}) < 0.02).to(torch::kUInt8);
      const std::string what = "time " + std::to_string(shape.time);
      const SsdOutput expected = ssd(in), got = ssd_of_operations(in);
      EXPECT_LT(distance(got.y, expected.y), kBound) << what;
      EXPECT_LT(distance(got.h, expected.h), kBound) << what;
      const std::vector<Tensor> wanted = gradients(expected, in), found = gradients(got, in);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_LT(distance(found[i], wanted[i]), kBound) << what << " gradient " << i;
      }
    }
  }
}

TEST(SsdOperations, OptionalOperandsMayBeLeftOut) {
  SsdInput in = leaves({1, 70, 2, 3, 1, 4});
  in.D = in.dt_bias = in.h0 = Tensor();
  in.dt_min = 0.1;
  in.dt_max = 1.0;
  const SsdOutput expected = ssd(in), got = ssd_of_operations(in);
  EXPECT_LT(distance(got.y, expected.y), 1e-10);
  EXPECT_LT(distance(got.h, expected.h), 1e-10);
}

TEST(SsdOperations, NoStepsLeaveTheStateAsItIs) {
  const SsdInput in = leaves({2, 0, 2, 3, 1, 4});
  EXPECT_EQ(distance(ssd_of_operations(in).h, in.h0), 0);
}

}  // namespace
}  // namespace longwave::ops
