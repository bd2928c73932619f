// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_torch.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;
using torch::Tensor;

// Leaf tensors of a scan: u, a, c, d, h0.
std::array<Tensor, 5> leaves(int64_t batch, int64_t time, int64_t channels, int64_t modes,
                             torch::ScalarType real, uint64_t seed) {
  torch::manual_seed(seed);
  const auto options = torch::TensorOptions().dtype(torch::kFloat32);
  const auto complex = real == torch::kFloat32 ? torch::kComplexFloat : torch::kComplexDouble;
  const auto signal = torch::TensorOptions().dtype(torch::kComplexFloat);
  const Tensor radius = 0.3 + 0.65 * torch::rand({channels, modes}, options);
  const Tensor angle = 6 * torch::rand({channels, modes}, options) - 3;
  return {torch::randn({batch, time, channels}, options).to(real).requires_grad_(),
          torch::polar(radius, angle).to(complex).requires_grad_(),
          torch::randn({channels, modes}, signal).to(complex).requires_grad_(),
          torch::randn({channels}, options).to(real).requires_grad_(),
          torch::randn({batch, channels, modes}, signal).to(complex).requires_grad_()};
}

LtiScanOutput scan(const std::array<Tensor, 5>& in) {
  return lti_scan(in[0], in[1], in[2], in[3], in[4]);
}

// The recurrence in torch operations, whose gradients torch derives itself.
LtiScanOutput naive(const std::array<Tensor, 5>& in) {
  const auto& [u, a, c, d, h0] = in;
  Tensor h = h0;
  std::vector<Tensor> y;
  for (int64_t t = 0; t < u.size(1); ++t) {
    const Tensor input = u.select(1, t);
    h = a * h + input.unsqueeze(-1);
    y.push_back(torch::real(c * h).sum(-1) + d * input);
  }
  return {torch::stack(y, 1), h};
}

// A number that depends on every output, with weights that differ everywhere.
Tensor loss(const LtiScanOutput& out) {
  torch::manual_seed(99);
  const Tensor weight_y = torch::randn_like(out.y), weight_h = torch::randn_like(out.h);
  return (weight_y * out.y).sum() + torch::real(weight_h * out.h).sum();
}

void compare(Worst& worst, const Tensor& expected, const Tensor& got, Tolerance bound) {
  ASSERT_EQ(expected.sizes(), got.sizes());
  const auto flat = [](const Tensor& tensor) {
    const Tensor real = tensor.is_complex() ? torch::view_as_real(tensor.resolve_conj()) : tensor;
    return real.detach().to(torch::kFloat64).reshape({-1}).contiguous();
  };
  const Tensor left = flat(expected), right = flat(got);
  for (int64_t i = 0; i < left.numel(); ++i) {
    worst.compare(i, left.data_ptr<double>()[i], right.data_ptr<double>()[i], bound);
  }
}

// The states collect at most about 20 inputs; da sums products of two of them over time.
template <typename T>
Tolerance bound(int64_t terms) {
  return Tolerance::sum<T>(terms, 1000);
}

TEST(LtiScanTorch, GradientsEqualAutogradOfTheRecurrence) {
  for (const auto& size : {std::array<int64_t, 4>{2, 9, 3, 2}, {1, 1, 1, 1}, {3, 40, 20, 5}}) {
    const auto [batch, time, channels, modes] = size;
    auto in = leaves(batch, time, channels, modes, torch::kFloat64, 1);
    const auto ours = scan(in), theirs = naive(in);
    Worst worst("values and gradients");
    const Tolerance tolerance = bound<double>(batch * time * modes);
    compare(worst, theirs.y, ours.y, tolerance);
    compare(worst, theirs.h, ours.h, tolerance);
    const std::vector<Tensor> inputs(in.begin(), in.end());
    const auto expected = torch::autograd::grad({loss(theirs)}, inputs);
    const auto got = torch::autograd::grad({loss(ours)}, inputs);
    for (size_t i = 0; i < inputs.size(); ++i) compare(worst, expected[i], got[i], tolerance);
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LtiScanTorch, BackendsAgreeOnGradients) {
  for (const auto& size : {std::array<int64_t, 4>{2, 300, 18, 3}, {1, 260, 1, 32}}) {
    const auto [batch, time, channels, modes] = size;
    auto single = leaves(batch, time, channels, modes, torch::kFloat32, 2);
    auto precise = leaves(batch, time, channels, modes, torch::kFloat64, 2);
    // The same weights in both types.
    torch::manual_seed(3);
    const Tensor weight = torch::randn({batch, time, channels});
    const auto one = scan(single), two = scan(precise);
    Worst worst("float against double");
    const Tolerance tolerance = bound<float>(batch * time * modes);
    compare(worst, two.y, one.y, tolerance);
    compare(worst, two.h, one.h, tolerance);
    ((one.y * weight).sum() + torch::real(one.h).sum()).backward();
    ((two.y * weight.to(torch::kFloat64)).sum() + torch::real(two.h).sum()).backward();
    for (size_t i = 0; i < single.size(); ++i) {
      compare(worst, precise[i].grad(), single[i].grad(), tolerance);
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LtiScanTorch, StridedInputsGiveTheSameResult) {
  auto in = leaves(2, 20, 17, 3, torch::kFloat32, 4);
  const auto dense = scan(in);
  const Tensor u = in[0].detach().transpose(1, 2).contiguous().transpose(1, 2);
  const Tensor a = in[1].detach().t().contiguous().t();
  const Tensor c = in[2].detach().conj().clone().conj();
  const Tensor h0 = in[4].detach().permute({2, 0, 1}).contiguous().permute({1, 2, 0});
  ASSERT_FALSE(u.is_contiguous());
  ASSERT_FALSE(h0.is_contiguous());
  ASSERT_TRUE(in[2].detach().conj().is_conj());
  const auto strided = lti_scan(u, a, c.conj().conj(), in[3], h0);
  EXPECT_TRUE(torch::equal(dense.y, strided.y));
  EXPECT_TRUE(torch::equal(dense.h, strided.h));
  const auto lazy = lti_scan(u, a.conj(), c.conj(), in[3], h0.conj());
  EXPECT_TRUE(torch::allclose(dense.y, lazy.y));
}

TEST(LtiScanTorch, OptionalOperandsCountAsZero) {
  auto in = leaves(2, 20, 5, 3, torch::kFloat32, 5);
  const auto bare = lti_scan(in[0], in[1], in[2]);
  const auto zeros =
      lti_scan(in[0], in[1], in[2], torch::zeros_like(in[3]), torch::zeros_like(in[4]));
  EXPECT_TRUE(torch::equal(bare.y, zeros.y));
  EXPECT_TRUE(torch::equal(bare.h, zeros.h));
  bare.y.sum().backward();
  EXPECT_TRUE(in[1].grad().defined());
}

TEST(LtiScanTorch, GradientFlowsThroughTheStateAlone) {
  auto in = leaves(1, 12, 2, 3, torch::kFloat64, 6);
  const std::vector<Tensor> inputs{in[0], in[1], in[4]};
  const auto got = torch::autograd::grad({torch::real(scan(in).h).sum()}, inputs);
  const auto expected = torch::autograd::grad({torch::real(naive(in).h).sum()}, inputs);
  Worst worst("gradient of the final state");
  for (size_t i = 0; i < got.size(); ++i) compare(worst, expected[i], got[i], bound<double>(12));
  EXPECT_TRUE(worst.ok());
}

TEST(LtiScanTorch, SplitInvariance) {
  auto in = leaves(2, 50, 4, 3, torch::kFloat64, 7);
  const std::vector<Tensor> inputs(in.begin(), in.end());
  const auto whole = scan(in);
  const auto first = lti_scan(in[0].narrow(1, 0, 17), in[1], in[2], in[3], in[4]);
  const auto second = lti_scan(in[0].narrow(1, 17, 33), in[1], in[2], in[3], first.h);
  const LtiScanOutput joined{torch::cat({first.y, second.y}, 1), second.h};
  Worst worst("values and gradients of two parts");
  compare(worst, whole.y, joined.y, bound<double>(150));
  const auto expected = torch::autograd::grad({loss(whole)}, inputs);
  const auto got = torch::autograd::grad({loss(joined)}, inputs);
  for (size_t i = 0; i < got.size(); ++i) compare(worst, expected[i], got[i], bound<double>(300));
  EXPECT_TRUE(worst.ok());
}

TEST(LtiScanTorch, EmptyExtentsAreFine) {
  for (const auto& size : {std::array<int64_t, 4>{0, 5, 3, 2}, {2, 0, 3, 2}, {2, 5, 0, 2}}) {
    const auto [batch, time, channels, modes] = size;
    auto in = leaves(batch, time, channels, modes, torch::kFloat32, 8);
    const auto out = scan(in);
    EXPECT_EQ(out.y.sizes(), in[0].sizes());
    (out.y.sum() + torch::real(out.h).sum()).backward();
    EXPECT_EQ(in[1].grad().sizes(), in[1].sizes());
    if (time == 0) {
      EXPECT_TRUE(torch::equal(out.h, in[4]));
    }
  }
}

TEST(LtiScanTorch, RejectsBadShapes) {
  auto in = leaves(2, 5, 3, 2, torch::kFloat32, 9);
  EXPECT_THROW(lti_scan(in[0], torch::real(in[1]), in[2]), InvalidArgument);
  EXPECT_THROW(lti_scan(in[0].to(torch::kFloat64), in[1], in[2]), InvalidArgument);
  EXPECT_THROW(lti_scan(in[0].select(0, 0), in[1], in[2]), InvalidArgument);
  EXPECT_THROW(lti_scan(in[0], in[1].narrow(0, 0, 2), in[2]), InvalidArgument);
  EXPECT_THROW(lti_scan(in[0], in[1], in[2], in[3], in[4].narrow(0, 0, 1)), InvalidArgument);
}

/// The signal alone may be narrow: it is widened exactly, and y is rounded once.
TEST(LtiScanTorch, SixteenBitsAreRoundedOnce) {
  for (const torch::Dtype type : {torch::kBFloat16, torch::kFloat16}) {
    std::array<Tensor, 5> in = leaves(2, 20, 3, 4, torch::kFloat32, 8);
    in[0] = in[0].detach().to(type).requires_grad_();
    std::array<Tensor, 5> exact = in;
    exact[0] = in[0].detach().to(torch::kFloat32).requires_grad_();
    const LtiScanOutput got = scan(in), expected = scan(exact);
    EXPECT_TRUE(torch::equal(got.y, expected.y.to(type)));
    EXPECT_TRUE(torch::equal(got.h, expected.h));
    const auto gradient = [](const LtiScanOutput& out, const Tensor& leaf) {
      return torch::autograd::grad({out.y.sum()}, {leaf})[0];
    };
    EXPECT_TRUE(torch::equal(gradient(got, in[0]), gradient(expected, exact[0]).to(type)));
  }
}

}  // namespace
}  // namespace longwave::ops
