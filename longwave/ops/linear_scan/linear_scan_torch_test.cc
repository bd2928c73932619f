// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan_torch.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/testing/device_torch.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using torch::Tensor;

constexpr std::array<torch::ScalarType, 4> kTypes = {torch::kFloat32, torch::kFloat64,
                                                     torch::kComplexFloat, torch::kComplexDouble};

// Leaf tensors a, b, h0; a has `rows` and `steps`. The same numbers in every precision.
std::array<Tensor, 3> leaves(int64_t rows, int64_t steps, const std::array<int64_t, 3>& size,
                             torch::ScalarType type, uint64_t seed) {
  torch::manual_seed(seed);
  const auto [batch, time, channels] = size;
  const auto draw_type = torch::isComplexType(type) ? torch::kComplexFloat : torch::kFloat32;
  const Tensor radius = 0.3 + 0.65 * torch::rand({rows, steps, channels});
  const Tensor angle = 6 * torch::rand({rows, steps, channels}) - 3;
  const Tensor factor = torch::isComplexType(type) ? torch::polar(radius, angle) : radius;
  return {factor.to(type).requires_grad_(),
          torch::randn({batch, time, channels}, draw_type).to(type).requires_grad_(),
          torch::randn({batch, channels}, draw_type).to(type).requires_grad_()};
}

// The recurrence in torch operations, whose gradients torch derives itself.
LinearScanOutput naive(const std::array<Tensor, 3>& in) {
  const auto& [a, b, h0] = in;
  const Tensor factor = a.expand_as(b);
  Tensor h = h0;
  std::vector<Tensor> states;
  for (int64_t t = 0; t < b.size(1); ++t) {
    h = factor.select(1, t) * h + b.select(1, t);
    states.push_back(h);
  }
  return {torch::stack(states, 1), h};
}

// A number that depends on every output, with weights that differ everywhere.
Tensor loss(const LinearScanOutput& out) {
  const auto weigh = [](const Tensor& x) {
    const Tensor flat = (x.is_complex() ? torch::view_as_real(x) : x).reshape({-1});
    const Tensor place = torch::arange(flat.numel(), torch::kFloat64);
    return (flat * (1.7 * place + 0.3).sin().to(flat.scalar_type())).sum();
  };
  return weigh(out.h) + weigh(out.final);
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

// States collect at most about 20 inputs; da sums products of two of them.
Tolerance bound(torch::ScalarType type, int64_t terms) {
  const bool single = type == torch::kFloat32 || type == torch::kComplexFloat;
  return single ? Tolerance::sum<float>(terms, 400) : Tolerance::sum<double>(terms, 400);
}

TEST(LinearScanTorch, GradientsEqualAutogradOfTheRecurrence) {
  const std::array<int64_t, 3> size{3, 30, 18};
  for (const torch::ScalarType type : kTypes) {
    for (const auto& [rows, steps] : {std::pair{3, 30}, {1, 30}, {3, 1}, {1, 1}}) {
      auto in = leaves(rows, steps, size, type, 1);
      const auto ours = linear_scan(in[0], in[1], in[2]), theirs = naive(in);
      Worst worst(std::string(torch::toString(type)) + " values and gradients");
      compare(worst, theirs.h, ours.h, bound(type, 100));
      compare(worst, theirs.final, ours.final, bound(type, 100));
      const std::vector<Tensor> inputs(in.begin(), in.end());
      const auto expected = torch::autograd::grad({loss(theirs)}, inputs);
      const auto got = torch::autograd::grad({loss(ours)}, inputs);
      for (size_t i = 0; i < got.size(); ++i) compare(worst, expected[i], got[i], bound(type, 200));
      EXPECT_TRUE(worst.ok());
    }
  }
}

TEST(LinearScanTorch, GradientsFlowThroughEitherOutput) {
  for (const bool last : {false, true}) {
    auto in = leaves(1, 1, {2, 12, 5}, torch::kComplexDouble, 2);
    const auto pick = [&](const LinearScanOutput& out) {
      return torch::real(last ? out.final : out.h).sum();
    };
    const std::vector<Tensor> inputs(in.begin(), in.end());
    const auto got = torch::autograd::grad({pick(linear_scan(in[0], in[1], in[2]))}, inputs);
    const auto expected = torch::autograd::grad({pick(naive(in))}, inputs);
    Worst worst("gradient of one output");
    for (size_t i = 0; i < got.size(); ++i) {
      compare(worst, expected[i], got[i], bound(torch::kFloat64, 100));
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LinearScanTorch, StridedInputsGiveTheSameResult) {
  auto in = leaves(2, 20, {2, 20, 17}, torch::kComplexFloat, 3);
  const auto dense = linear_scan(in[0], in[1], in[2]);
  const Tensor a = in[0].detach().transpose(1, 2).contiguous().transpose(1, 2);
  const Tensor b = in[1].detach().permute({1, 0, 2}).contiguous().permute({1, 0, 2});
  const Tensor h0 = in[2].detach().conj().clone().conj();
  ASSERT_FALSE(a.is_contiguous());
  ASSERT_FALSE(b.is_contiguous());
  const auto strided = linear_scan(a, b, h0);
  EXPECT_TRUE(torch::equal(dense.h, strided.h));
  EXPECT_TRUE(torch::equal(dense.final, strided.final));
  const auto expanded = linear_scan(in[0].detach().select(1, 0).unsqueeze(1).expand({2, 20, 17}),
                                    in[1].detach(), in[2].detach());
  const auto shared =
      linear_scan(in[0].detach().select(1, 0).unsqueeze(1), in[1].detach(), in[2].detach());
  EXPECT_TRUE(torch::equal(expanded.h, shared.h));
}

TEST(LinearScanTorch, FrozenFactorAndVectorFactor) {
  auto in = leaves(1, 1, {2, 9, 6}, torch::kFloat32, 4);
  const Tensor frozen = in[0].detach().view({-1});
  const auto out = linear_scan(frozen, in[1]);
  const auto same = linear_scan(in[0], in[1], torch::zeros_like(in[2]));
  EXPECT_TRUE(torch::equal(out.h, same.h));
  const auto got = torch::autograd::grad({out.h.sum()}, {in[1]});
  const auto expected = torch::autograd::grad({same.h.sum()}, {in[1]});
  EXPECT_TRUE(torch::equal(got[0], expected[0]));
}

TEST(LinearScanTorch, EmptyExtentsAreFine) {
  for (const auto& size : {std::array<int64_t, 3>{0, 5, 3}, {2, 0, 3}, {2, 5, 0}}) {
    auto in = leaves(1, 1, size, torch::kComplexFloat, 5);
    const auto out = linear_scan(in[0], in[1], in[2]);
    EXPECT_EQ(out.h.sizes(), in[1].sizes());
    (torch::real(out.h).sum() + torch::real(out.final).sum()).backward();
    EXPECT_TRUE(torch::equal(in[0].grad(), torch::zeros_like(in[0])));
    if (size[1] == 0) {
      EXPECT_TRUE(torch::equal(out.final, in[2]));
    }
  }
}

TEST(LinearScanTorch, RejectsBadShapes) {
  auto in = leaves(2, 5, {2, 5, 3}, torch::kComplexFloat, 6);
  EXPECT_THROW(linear_scan(torch::real(in[0]), in[1]), InvalidArgument);
  EXPECT_THROW(linear_scan(in[0].select(0, 0), in[1]), InvalidArgument);
  EXPECT_THROW(linear_scan(in[0].narrow(1, 0, 4), in[1]), InvalidArgument);
  EXPECT_THROW(linear_scan(in[0], in[1], in[2].narrow(1, 0, 2)), InvalidArgument);
  EXPECT_THROW(linear_scan(Tensor(), in[1]), InvalidArgument);
  const Tensor narrow = torch::real(in[1]).to(torch::kBFloat16);
  EXPECT_THROW(linear_scan(torch::real(in[0]).to(torch::kFloat64), narrow), InvalidArgument);
}

// What 16-bit inputs and factors of these types, on that device, come to and should come to.
void compare_narrow(torch::Dtype factors, torch::Dtype inputs, const torch::Device& device) {
  const auto in = leaves(2, 20, {2, 20, 3}, torch::kFloat32, 8);
  const Tensor a = in[0].detach().to(device, factors), b = in[1].detach().to(device, inputs);
  const Tensor h0 = in[2].detach().to(device);
  const LinearScanOutput got = linear_scan(a, b, h0);
  const LinearScanOutput expected = linear_scan(a.to(torch::kFloat32), b.to(torch::kFloat32), h0);
  EXPECT_TRUE(torch::equal(got.h, expected.h.to(inputs))) << factors << " and " << inputs;
  EXPECT_TRUE(torch::equal(got.final, expected.final)) << factors << " and " << inputs;
}

constexpr std::array<torch::Dtype, 3> kFactors = {torch::kBFloat16, torch::kFloat16,
                                                  torch::kFloat32};
constexpr std::array<torch::Dtype, 2> kInputs = {torch::kBFloat16, torch::kFloat16};

/// Inputs may be narrow, factors too: they are widened exactly, h is rounded once and final is not.
TEST(LinearScanTorch, SixteenBitsAreRoundedOnce) {
  for (const torch::Dtype factors : kFactors) {
    for (const torch::Dtype inputs : kInputs) compare_narrow(factors, inputs, torch::kCPU);
  }
}

class LinearScanTorchDevice : public testing::OnDevice<> {};

/// A GPU takes what the CPU takes.
TEST_F(LinearScanTorchDevice, SixteenBitsAreRoundedOnce) {
  for (const torch::Dtype factors : kFactors) {
    for (const torch::Dtype inputs : kInputs) compare_narrow(factors, inputs, torch::kCUDA);
  }
}

/// A factor that stays exact has an exact gradient.
TEST(LinearScanTorch, FactorsOfFloat32HaveSuchGradients) {
  auto in = leaves(2, 20, {2, 20, 3}, torch::kFloat32, 9);
  const Tensor narrow = in[1].detach().to(torch::kBFloat16);
  const auto of = [&](const Tensor& b) {
    return torch::autograd::grad({linear_scan(in[0], b, in[2]).final.sum()}, {in[0]})[0];
  };
  const Tensor got = of(narrow);
  EXPECT_EQ(got.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(torch::equal(got, of(narrow.to(torch::kFloat32))));
}

}  // namespace
}  // namespace longwave::ops
