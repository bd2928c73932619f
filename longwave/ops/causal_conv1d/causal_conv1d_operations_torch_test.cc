// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_operations_torch.h"

#include <gtest/gtest.h>

#include <vector>

#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::weighted_sum;
using torch::Tensor;

struct Shape {
  int64_t time, width;
};

CausalConv1dInput random_input(const Shape& shape, torch::Dtype type) {
  torch::manual_seed(7);
  const auto leaf = [&](torch::IntArrayRef size, torch::Dtype dtype) {
    return torch::randn(size, torch::kFloat64).to(dtype).requires_grad_();
  };
  const torch::Dtype wide = type == torch::kFloat64 ? type : torch::kFloat32;
  return {.activation = ConvActivation::kSilu,
          .x = leaf({3, shape.time, 2}, type),
          .w = leaf({2, shape.width}, wide),
          .b = leaf({2}, wide),
          .history = leaf({3, shape.width - 1, 2}, type),
          .starts = {}};
}

std::vector<Tensor> gradients(const CausalConv1dInput& in, const CausalConv1dOutput& out) {
  const Tensor history = out.history.to(torch::kFloat64);
  const Tensor loss = weighted_sum(out.y.to(torch::kFloat64)) + weighted_sum(history * history);
  return torch::autograd::grad({loss}, {in.x, in.w, in.b, in.history});
}

constexpr Shape kShapes[] = {{1, 1}, {9, 1}, {5, 4}, {2, 9}, {30, 17}, {0, 3}};

TEST(CausalConv1dOperations, EqualTheKernelAndItsGradients) {
  for (const Shape& shape : kShapes) {
    for (const bool packed : {false, true}) {
      SCOPED_TRACE(::testing::Message() << "time " << shape.time << ", width " << shape.width
                                        << (packed ? ", packed" : ""));
      CausalConv1dInput in = random_input(shape, torch::kFloat64);
      if (packed) in.starts = torch::rand({3, shape.time}) < 0.2;
      const CausalConv1dOutput expected = causal_conv1d(in), got = causal_conv1d_of_operations(in);
      EXPECT_TRUE(torch::allclose(got.y, expected.y, 1e-12, 1e-12));
      EXPECT_TRUE(torch::equal(got.history, expected.history));
      const auto wanted = gradients(in, expected), found = gradients(in, got);
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_TRUE(torch::allclose(found[i], wanted[i], 1e-11, 1e-11)) << "operand " << i;
      }
    }
  }
}

/// Bias and history may be left out, and what is not a number stays in its own sequence.
TEST(CausalConv1dOperations, OtherSequencesAreNotSeen) {
  CausalConv1dInput in = random_input({8, 12}, torch::kFloat64);
  in.b = Tensor();
  in.history = Tensor();
  in.starts = torch::zeros({3, 8}, torch::kUInt8);
  in.starts.select(1, 5).fill_(1);
  const Tensor expected = causal_conv1d_of_operations(in).y.slice(1, 5);
  in.x = in.x.detach().clone();
  in.x.select(1, 4).fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(torch::equal(causal_conv1d_of_operations(in).y.slice(1, 5), expected));
}

TEST(CausalConv1dOperations, SixteenBitsAreRoundedOnce) {
  for (const torch::Dtype type : {torch::kBFloat16, torch::kFloat16}) {
    const CausalConv1dInput in = random_input({30, 17}, type);
    CausalConv1dInput exact = in;
    exact.x = in.x.to(torch::kFloat32);
    exact.history = in.history.to(torch::kFloat32);
    const CausalConv1dOutput got = causal_conv1d_of_operations(in);
    EXPECT_TRUE(torch::equal(got.y, causal_conv1d_of_operations(exact).y.to(type)));
    EXPECT_TRUE(torch::equal(got.history, causal_conv1d(in).history));
  }
}

}  // namespace
}  // namespace longwave::ops
