// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_parts_torch.h"

#include <gtest/gtest.h>

#include <vector>

#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::weighted_sum;
using torch::Tensor;

SelectiveScanTensors random_tensors(int64_t time, int64_t state) {
  torch::manual_seed(5);
  const auto leaf = [](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).requires_grad_();
  };
  return {.u = leaf({2, time, 4}),
          .dt = leaf({2, time, 4}),
          .A = (-torch::rand({4, state}, torch::kFloat64)).requires_grad_(),
          .B = leaf({2, time, 2, state}),
          .C = leaf({2, time, 2, state}),
          .D = leaf({4}),
          .dt_bias = leaf({4}),
          .z = leaf({2, time, 4}),
          .h0 = leaf({2, 4, state}),
          .starts = (torch::rand({2, time}) < 0.2).to(torch::kUInt8)};
}

std::vector<Tensor> gradients(const SelectiveScanTensors& in, const SelectiveScanOutput& out) {
  const Tensor loss = weighted_sum(out.y) + weighted_sum(out.h);
  return torch::autograd::grad({loss},
                               {in.u, in.dt, in.A, in.B, in.C, in.D, in.dt_bias, in.z, in.h0});
}

TEST(SelectiveScanInParts, EqualsTheScanAndItsGradients) {
  for (const int64_t time : {1, 7, 20}) {
    const SelectiveScanTensors in = random_tensors(time, 5);
    const SelectiveScanOutput expected = selective_scan(in);
    const auto wanted = gradients(in, expected);
    for (const int64_t most : {1, 2, 5, 9}) {
      SCOPED_TRACE(::testing::Message() << "time " << time << ", parts of " << most);
      const SelectiveScanOutput got = selective_scan_in_parts(in, most);
      EXPECT_TRUE(torch::allclose(got.y, expected.y, 1e-11, 1e-11));
      EXPECT_TRUE(torch::allclose(got.h, expected.h, 1e-11, 1e-11));
      const auto found = gradients(in, got);
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(torch::allclose(found[i], wanted[i], 1e-10, 1e-10)) << "operand " << i;
      }
    }
  }
}

TEST(SelectiveScanInParts, WhatIsLeftOutStaysOut) {
  SelectiveScanTensors in = random_tensors(9, 5);
  for (Tensor* tensor : {&in.D, &in.dt_bias, &in.z, &in.h0, &in.starts}) *tensor = Tensor();
  const SelectiveScanOutput expected = selective_scan(in), got = selective_scan_in_parts(in, 2);
  EXPECT_TRUE(torch::allclose(got.y, expected.y, 1e-11, 1e-11));
  EXPECT_TRUE(torch::allclose(got.h, expected.h, 1e-11, 1e-11));
}

/// Sums over the parts are not rounded to 16 bits.
TEST(SelectiveScanInParts, SixteenBitsAreRoundedOnce) {
  for (const torch::Dtype type : {torch::kBFloat16, torch::kFloat16}) {
    SelectiveScanTensors in = random_tensors(9, 6);
    for (Tensor* tensor : {&in.A, &in.D, &in.dt_bias, &in.h0})
      *tensor = tensor->to(torch::kFloat32);
    for (Tensor* tensor : {&in.u, &in.dt, &in.B, &in.C, &in.z}) *tensor = tensor->to(type);
    SelectiveScanTensors exact = in;
    for (Tensor* tensor : {&exact.u, &exact.dt, &exact.B, &exact.C, &exact.z}) {
      *tensor = tensor->to(torch::kFloat32);
    }
    const SelectiveScanOutput got = selective_scan_in_parts(in, 4);
    EXPECT_TRUE(torch::equal(got.y, selective_scan_in_parts(exact, 4).y.to(type)));
    EXPECT_EQ(got.h.scalar_type(), torch::kFloat32);
  }
}

}  // namespace
}  // namespace longwave::ops
