// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"

#include <gtest/gtest.h>

#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::expect_gradients;
using testing::weighted_sum;
using torch::Tensor;

CausalConv1dInput random_input(int64_t batch, int64_t time, int64_t channels, int64_t width) {
  torch::manual_seed(1);
  const auto leaf = [](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).requires_grad_();
  };
  return {.activation = ConvActivation::kSilu,
          .x = leaf({batch, time, channels}),
          .w = leaf({channels, width}),
          .b = leaf({channels}),
          .history = leaf({batch, width - 1, channels}),
          .starts = {}};
}

Tensor loss(const CausalConv1dInput& in) {
  const CausalConv1dOutput out = causal_conv1d(in);
  const Tensor history = out.history.to(torch::kFloat64);
  return weighted_sum(out.y.to(torch::kFloat64)) + weighted_sum(history * history);
}

TEST(CausalConv1dTorch, GradientMatchesFiniteDifference) {
  for (const auto activation : {ConvActivation::kNone, ConvActivation::kSilu}) {
    for (const auto& [time, width] : {std::pair<int64_t, int64_t>{7, 4}, {2, 4}, {5, 1}, {0, 3}}) {
      for (const bool packed : {false, true}) {
        CausalConv1dInput in = random_input(2, time, 3, width);
        in.activation = activation;
        if (packed) in.starts = torch::rand({2, time}) < 0.3;
        expect_gradients([&] { return loss(in); },
                         {{"x", in.x}, {"w", in.w}, {"b", in.b}, {"history", in.history}});
      }
    }
  }
}

TEST(CausalConv1dTorch, FloatAgreesWithDoubleAndStrides) {
  const CausalConv1dInput exact = random_input(2, 40, 18, 4);
  const auto single = [](const Tensor& tensor) { return tensor.detach().to(torch::kFloat32); };
  CausalConv1dInput fast{.activation = ConvActivation::kSilu,
                         .x = single(exact.x).transpose(1, 2).contiguous().transpose(1, 2),
                         .w = single(exact.w),
                         .b = single(exact.b),
                         .history = single(exact.history),
                         .starts = {}};
  for (Tensor* tensor : {&fast.x, &fast.w, &fast.b, &fast.history}) tensor->requires_grad_();
  loss(exact).backward();
  loss(fast).backward();
  const auto close = [](const Tensor& a, const Tensor& b) {
    const double size = a.abs().max().item<double>();
    return (a - b).abs().max().item<double>() < 100 * 1.2e-7 * std::max(size, 1.0);
  };
  EXPECT_TRUE(close(exact.x.grad(), fast.x.grad()));
  EXPECT_TRUE(close(exact.w.grad(), fast.w.grad()));
  EXPECT_TRUE(close(exact.b.grad(), fast.b.grad()));
  EXPECT_TRUE(close(exact.history.grad(), fast.history.grad()));
}

/// Negatives that torch leaves for later are not forgotten.
TEST(CausalConv1dTorch, LazyNegativesCount) {
  CausalConv1dInput in = random_input(2, 9, 3, 4);
  const Tensor x = in.x.detach();
  in.x = torch::imag(torch::complex(x, x).conj());
  ASSERT_TRUE(in.x.is_neg());
  CausalConv1dInput plain = in;
  plain.x = -x;
  EXPECT_TRUE(torch::equal(causal_conv1d(in).y, causal_conv1d(plain).y));
  in.w = torch::imag(torch::complex(in.w.detach(), in.w.detach()).conj());
  EXPECT_THROW(causal_conv1d(in), InvalidArgument);
}

TEST(CausalConv1dTorch, EqualsTorchsOwnConvolution) {
  const CausalConv1dInput in = random_input(2, 30, 5, 4);
  const Tensor before = torch::cat({in.history, in.x}, 1).transpose(1, 2);
  const std::vector<int64_t> one{1}, none{0};
  const Tensor sum =
      torch::conv1d(before, in.w.unsqueeze(1), in.b, one, none, one, in.x.size(2)).transpose(1, 2);
  const Tensor expected = torch::silu(sum);
  const CausalConv1dOutput got = causal_conv1d(in);
  EXPECT_TRUE(torch::allclose(expected, got.y, 1e-12, 1e-12));
  EXPECT_TRUE(torch::equal(in.x.narrow(1, 27, 3), got.history));
}

TEST(CausalConv1dTorch, OptionalOperandsMayBeLeftOut) {
  CausalConv1dInput in = random_input(2, 6, 3, 4);
  in.b = Tensor();
  in.history = Tensor();
  expect_gradients([&] { return weighted_sum(causal_conv1d(in).y); }, {{"x", in.x}, {"w", in.w}});
  in.w = in.w.detach();
  expect_gradients([&] { return weighted_sum(causal_conv1d(in).history); }, {{"x", in.x}});
}

TEST(CausalConv1dTorch, RejectsBadShapes) {
  CausalConv1dInput in = random_input(2, 6, 3, 4);
  in.w = in.w.detach().unsqueeze(1);
  EXPECT_THROW(causal_conv1d(in), InvalidArgument);
  in.w = torch::zeros({3, 4});
  EXPECT_THROW(causal_conv1d(in), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
