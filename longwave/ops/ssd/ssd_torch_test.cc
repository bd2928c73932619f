// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_torch.h"

#include <gtest/gtest.h>

#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::weighted_sum;
using testing::Worst;
using torch::Tensor;

struct Shape {
  int64_t batch, time, heads, head_dim, groups, state;
};

// Leaves of a scan with every operand.
SsdInput leaves(const Shape& shape, torch::ScalarType type, uint64_t seed) {
  torch::manual_seed(seed);
  const auto [batch, time, heads, head_dim, groups, state] = shape;
  // The same numbers in every precision.
  const auto draw = [&](torch::IntArrayRef size, double scale, double shift) {
    return (scale * torch::randn(size, torch::kFloat32) + shift).to(type).requires_grad_();
  };
  SsdInput in;
  in.x = draw({batch, time, heads, head_dim}, 1, 0);
  in.dt = draw({batch, time, heads}, 1, -1);
  in.A = (-0.1 - 3 * torch::rand({heads}, torch::kFloat32)).to(type).requires_grad_();
  in.B = draw({batch, time, groups, state}, 1, 0);
  in.C = draw({batch, time, groups, state}, 1, 0);
  in.D = draw({heads, head_dim}, 1, 0);
  in.dt_bias = draw({heads}, 0.5, 0);
  in.h0 = draw({batch, heads, head_dim, state}, 1, 0);
  in.starts = torch::rand({batch, time}) < 0.1;
  return in;
}

std::vector<Tensor> inputs_of(const SsdInput& in) {
  return {in.x, in.dt, in.A, in.B, in.C, in.D, in.dt_bias, in.h0};
}

// The recurrence in torch operations, whose gradients torch derives itself.
SsdOutput naive(const SsdInput& in) {
  const int64_t share = in.x.size(2) / in.B.size(2);
  const Tensor B = in.B.repeat_interleave(share, 2), C = in.C.repeat_interleave(share, 2);
  const Tensor raw = in.dt_bias.defined() ? in.dt + in.dt_bias : in.dt;
  const Tensor dt = torch::logaddexp(raw, torch::zeros_like(raw)).clamp(in.dt_min, in.dt_max);
  Tensor h = in.h0.defined() ? in.h0
                             : torch::zeros({in.x.size(0), in.x.size(2), in.x.size(3), B.size(3)},
                                            in.x.options());
  std::vector<Tensor> y;
  for (int64_t t = 0; t < in.x.size(1); ++t) {
    const Tensor x = in.x.select(1, t), d = dt.select(1, t);
    Tensor decay = torch::exp(d * in.A);
    if (in.starts.defined()) decay = decay * in.starts.select(1, t).logical_not().unsqueeze(1);
    const Tensor input = (d.unsqueeze(-1) * x).unsqueeze(-1) * B.select(1, t).unsqueeze(2);
    h = decay.unsqueeze(-1).unsqueeze(-1) * h + input;
    y.push_back((h * C.select(1, t).unsqueeze(2)).sum(-1));
  }
  Tensor all = torch::stack(y, 1);
  if (in.D.defined()) all = all + (in.D.dim() == 1 ? in.D.unsqueeze(1) : in.D) * in.x;
  return {all, h};
}

Tensor loss(const SsdOutput& out) { return weighted_sum(out.y) + weighted_sum(out.h); }

void compare(Worst& worst, const Tensor& expected, const Tensor& got, int64_t terms) {
  ASSERT_EQ(expected.sizes(), got.sizes());
  const Tensor left = expected.detach().to(torch::kFloat64).contiguous();
  const Tensor right = got.detach().to(torch::kFloat64).contiguous();
  // Every element is judged by the largest one: they are sums of terms of about one size.
  const double scale = left.numel() == 0 ? 1 : left.abs().max().item<double>();
  const Tolerance bound = got.scalar_type() == torch::kFloat32
                              ? Tolerance::sum<float>(terms, scale)
                              : Tolerance::sum<double>(terms, scale);
  for (int64_t i = 0; i < left.numel(); ++i) {
    worst.compare(i, left.data_ptr<double>()[i], right.data_ptr<double>()[i], bound);
  }
}

void expect_equal_to_naive(const SsdInput& in, int64_t terms) {
  const SsdOutput ours = ssd(in), theirs = naive(in);
  Worst worst(std::string(torch::toString(in.x.scalar_type())) + " values and gradients");
  compare(worst, theirs.y, ours.y, terms);
  compare(worst, theirs.h, ours.h, terms);
  std::vector<Tensor> inputs;
  for (const Tensor& tensor : inputs_of(in)) {
    if (tensor.defined()) inputs.push_back(tensor);
  }
  const auto expected = torch::autograd::grad({loss(theirs)}, inputs);
  const auto got = torch::autograd::grad({loss(ours)}, inputs);
  for (size_t i = 0; i < got.size(); ++i) compare(worst, expected[i], got[i], terms);
  EXPECT_TRUE(worst.ok());
}

TEST(SsdTorch, GradientsEqualAutogradOfTheRecurrence) {
  for (const auto type : {torch::kFloat64, torch::kFloat32}) {
    for (const Shape& shape :
         {Shape{2, 70, 4, 5, 2, 3}, Shape{1, 130, 2, 16, 1, 20}, Shape{3, 1, 3, 4, 3, 7}}) {
      SsdInput in = leaves(shape, type, 1);
      expect_equal_to_naive(in, 64);
      in.dt_min = 0.1;
      in.dt_max = 0.5;
      expect_equal_to_naive(in, 64);
    }
  }
}

TEST(SsdTorch, OperandsMayBeLeftOut) {
  for (const auto type : {torch::kFloat64, torch::kFloat32}) {
    SsdInput in = leaves({2, 40, 4, 6, 2, 5}, type, 2);
    in.D = in.dt_bias = in.h0 = in.starts = Tensor();
    expect_equal_to_naive(in, 64);
    in.D = torch::randn({4}, type).requires_grad_();
    expect_equal_to_naive(in, 64);
  }
}

TEST(SsdTorch, GradientMatchesFiniteDifference) {
  SsdInput in = leaves({2, 6, 4, 2, 2, 3}, torch::kFloat64, 3);
  testing::expect_gradients([&] { return loss(ssd(in)); }, {{"x", in.x},
                                                            {"dt", in.dt},
                                                            {"A", in.A},
                                                            {"B", in.B},
                                                            {"C", in.C},
                                                            {"D", in.D},
                                                            {"dt_bias", in.dt_bias},
                                                            {"h0", in.h0}});
}

TEST(SsdTorch, GradientsFlowThroughEitherOutput) {
  for (const bool last : {false, true}) {
    const SsdInput in = leaves({2, 20, 2, 3, 1, 4}, torch::kFloat64, 4);
    const auto pick = [&](const SsdOutput& out) { return weighted_sum(last ? out.h : out.y); };
    std::vector<Tensor> inputs = inputs_of(in);
    if (last) inputs = {in.x, in.dt, in.A, in.B, in.dt_bias, in.h0};
    const auto got = torch::autograd::grad({pick(ssd(in))}, inputs);
    const auto expected = torch::autograd::grad({pick(naive(in))}, inputs);
    Worst worst("gradient of one output");
    for (size_t i = 0; i < got.size(); ++i) compare(worst, expected[i], got[i], 64);
    EXPECT_TRUE(worst.ok());
  }
}

TEST(SsdTorch, SlicesOfOneProjectionGiveTheSameResult) {
  const int64_t heads = 4, head_dim = 6, groups = 2, state = 5;
  torch::manual_seed(5);
  const int64_t inner = heads * head_dim, gain = groups * state;
  const Tensor all = torch::randn({2, 30, inner + 2 * gain + heads}).requires_grad_();
  SsdInput in = leaves({2, 30, heads, head_dim, groups, state}, torch::kFloat32, 6);
  const auto scan = [&](const Tensor& from, bool dense) {
    const auto parts = from.split_with_sizes({inner, gain, gain, heads}, 2);
    const auto laid = [&](const Tensor& part) { return dense ? part.contiguous() : part; };
    in.x = laid(parts[0]).unflatten(2, {heads, head_dim});
    in.B = laid(parts[1]).unflatten(2, {groups, state});
    in.C = laid(parts[2]).unflatten(2, {groups, state});
    in.dt = laid(parts[3]);
    return ssd(in);
  };
  const SsdOutput strided = scan(all, false), dense = scan(all, true);
  EXPECT_TRUE(torch::equal(strided.y, dense.y));
  EXPECT_TRUE(torch::equal(strided.h, dense.h));
  const auto left = torch::autograd::grad({loss(strided)}, {all});
  const auto right = torch::autograd::grad({loss(dense)}, {all});
  EXPECT_TRUE(torch::equal(left[0], right[0]));
}

TEST(SsdTorch, EmptyExtentsAreFine) {
  for (const Shape& shape : {Shape{0, 5, 2, 3, 1, 4}, Shape{2, 0, 2, 3, 1, 4},
                             Shape{2, 5, 2, 0, 1, 4}, Shape{2, 5, 2, 3, 1, 0}}) {
    const SsdInput in = leaves(shape, torch::kFloat32, 7);
    const SsdOutput out = ssd(in);
    EXPECT_EQ(out.y.sizes(), in.x.sizes());
    (out.y.sum() + out.h.sum()).backward();
    EXPECT_EQ(in.B.grad().sizes(), in.B.sizes());
    EXPECT_FALSE(in.A.grad().isnan().any().item<bool>());
    if (shape.time == 0) {
      EXPECT_TRUE(torch::equal(out.h, in.h0));
    }
  }
}

TEST(SsdTorch, RejectsBadShapes) {
  const SsdInput good = leaves({2, 5, 4, 3, 2, 4}, torch::kFloat32, 8);
  const auto with = [&](const auto& change) {
    SsdInput in = good;
    change(in);
    return [in] { ssd(in); };
  };
  EXPECT_THROW(with([](SsdInput& in) { in.x = in.x.narrow(2, 0, 3); })(), InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.B = in.B.narrow(3, 0, 3); })(), InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.A = in.A.to(torch::kFloat64); })(), InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.D = in.D.narrow(1, 0, 2); })(), InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.h0 = in.h0.select(0, 0); })(), InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.starts = in.starts.narrow(1, 0, 2); })(),
               InvalidArgument);
  EXPECT_THROW(with([](SsdInput& in) { in.dt_min = 2, in.dt_max = 1; })(), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
