// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_torch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;
using torch::Tensor;

struct Size {
  int64_t batch, time, channels, groups, state;
};

// Leaf tensors, the same numbers in every precision; starts in the middle if there are any.
SelectiveScanTensors leaves(const Size& size, torch::ScalarType type, uint64_t seed) {
  torch::manual_seed(seed);
  const auto [batch, time, channels, groups, state] = size;
  const auto leaf = [&](const Tensor& tensor) { return tensor.to(type).requires_grad_(); };
  SelectiveScanTensors in{.u = leaf(torch::randn({batch, time, channels})),
                          .dt = leaf(torch::randn({batch, time, channels}) - 1),
                          .A = leaf(-0.3 - 4 * torch::rand({channels, state})),
                          .B = leaf(torch::randn({batch, time, groups, state})),
                          .C = leaf(torch::randn({batch, time, groups, state})),
                          .D = leaf(torch::randn({channels})),
                          .dt_bias = leaf(torch::randn({channels})),
                          .z = leaf(torch::randn({batch, time, channels})),
                          .h0 = leaf(torch::randn({batch, channels, state})),
                          .starts = torch::zeros({batch, time}, torch::kUInt8)};
  if (time > 0) in.starts.select(1, time / 2).fill_(1);
  return in;
}

std::vector<Tensor> differentiable(const SelectiveScanTensors& in) {
  std::vector<Tensor> all;
  for (const Tensor& x : {in.u, in.dt, in.A, in.B, in.C, in.D, in.dt_bias, in.z, in.h0}) {
    if (x.defined()) all.push_back(x);
  }
  return all;
}

// The recurrence in torch operations, whose gradients torch derives itself.
SelectiveScanOutput naive(const SelectiveScanTensors& in) {
  const int64_t repeat = in.u.size(2) / in.B.size(2);
  const Tensor B = in.B.repeat_interleave(repeat, 2), C = in.C.repeat_interleave(repeat, 2);
  const Tensor raw = in.dt_bias.defined() ? in.dt + in.dt_bias : in.dt;
  const Tensor s = in.step_size == StepSize::kSoftplus
                       ? torch::logaddexp(raw, torch::zeros({}, raw.options()))
                       : raw;
  Tensor h = in.h0.defined() ? in.h0 : torch::zeros_like(B.select(1, 0));
  std::vector<Tensor> outputs;
  for (int64_t t = 0; t < in.u.size(1); ++t) {
    if (in.starts.defined()) h = h * (1 - in.starts.select(1, t)).view({-1, 1, 1});
    const Tensor step = s.select(1, t).unsqueeze(-1), u = in.u.select(1, t).unsqueeze(-1);
    h = (step * in.A).exp() * h + step * u * B.select(1, t);
    outputs.push_back((C.select(1, t) * h).sum(-1));
  }
  Tensor y = torch::stack(outputs, 1);
  if (in.D.defined()) y = y + in.D * in.u;
  if (in.z.defined()) y = y * in.z * torch::sigmoid(in.z);
  return {y, h};
}

Tensor loss(const SelectiveScanOutput& out) {
  const auto weigh = [](const Tensor& x) {
    const Tensor flat = x.reshape({-1});
    const Tensor place = torch::arange(flat.numel(), torch::kFloat64);
    return (flat * (1.7 * place + 0.3).sin().to(flat.scalar_type())).sum();
  };
  return weigh(out.y) + weigh(out.h);
}

// Every number is a sum of `terms` products at most, none larger than the largest number, or 1.
void expect_close(const std::string& what, const Tensor& expected, const Tensor& got,
                  int64_t terms) {
  ASSERT_EQ(expected.sizes(), got.sizes()) << what;
  const double largest = std::max(1.0, expected.abs().max().item<double>());
  const Tolerance bound = got.scalar_type() == torch::kFloat32
                              ? Tolerance::sum<float>(terms, largest)
                              : Tolerance::sum<double>(terms, largest);
  const auto flat = [](const Tensor& x) {
    return x.detach().to(torch::kFloat64).contiguous().reshape({-1});
  };
  const Tensor left = flat(expected), right = flat(got);
  Worst worst(what);
  for (int64_t i = 0; i < left.numel(); ++i) {
    worst.compare(i, left.data_ptr<double>()[i], right.data_ptr<double>()[i], bound);
  }
  EXPECT_TRUE(worst.ok());
}

void expect_autograd(const SelectiveScanTensors& in) {
  const SelectiveScanOutput ours = selective_scan(in), theirs = naive(in);
  expect_close("y", theirs.y, ours.y, 1000);
  expect_close("h", theirs.h, ours.h, 1000);
  const std::vector<Tensor> inputs = differentiable(in);
  const auto expected = torch::autograd::grad({loss(theirs)}, inputs);
  const auto got = torch::autograd::grad({loss(ours)}, inputs);
  for (size_t i = 0; i < got.size(); ++i) {
    expect_close("gradient " + std::to_string(i), expected[i], got[i], 2000);
  }
}

TEST(SelectiveScanTorch, GradientsEqualAutogradOfTheRecurrence) {
  for (const torch::ScalarType type : {torch::kFloat32, torch::kFloat64}) {
    for (const Size& size : {Size{2, 70, 18, 2, 16}, Size{3, 20, 5, 1, 3}}) {
      expect_autograd(leaves(size, type, 1));
    }
  }
}

TEST(SelectiveScanTorch, OptionalOperandsMayBeUndefined) {
  for (const torch::ScalarType type : {torch::kFloat32, torch::kFloat64}) {
    SelectiveScanTensors in = leaves({2, 40, 17, 1, 4}, type, 2);
    in.D = in.dt_bias = in.z = in.h0 = in.starts = Tensor();
    expect_autograd(in);
    SelectiveScanTensors given = leaves({2, 40, 17, 1, 4}, type, 3);
    given.step_size = StepSize::kGiven;
    given.dt = (0.2 + 0.1 * given.dt.detach().abs()).requires_grad_();
    given.dt_bias = (0.01 * given.dt_bias.detach()).requires_grad_();
    expect_autograd(given);
  }
}

TEST(SelectiveScanTorch, GradientsFlowThroughEitherOutput) {
  for (const bool last : {false, true}) {
    const SelectiveScanTensors in = leaves({2, 12, 5, 1, 3}, torch::kFloat32, 4);
    const auto pick = [&](const SelectiveScanOutput& out) {
      return (last ? out.h : out.y).square().sum();
    };
    const std::vector<Tensor> inputs = differentiable(in);
    const auto got = torch::autograd::grad({pick(selective_scan(in))}, inputs, {}, {}, false, true);
    const auto expected = torch::autograd::grad({pick(naive(in))}, inputs, {}, {}, false, true);
    for (size_t i = 0; i < got.size(); ++i) {
      if (expected[i].defined()) {
        expect_close("gradient " + std::to_string(i), expected[i], got[i], 2000);
      }
    }
  }
}

TEST(SelectiveScanTorch, HalvesOfOneProjectionNeedNoCopies) {
  SelectiveScanTensors in = leaves({2, 40, 20, 1, 16}, torch::kFloat32, 5);
  const auto dense = selective_scan(in);
  const Tensor projection = torch::cat({in.u.detach(), in.z.detach()}, -1);
  SelectiveScanTensors strided = in;
  strided.u = projection.narrow(2, 0, 20);
  strided.z = projection.narrow(2, 20, 20);
  strided.dt = in.dt.detach().transpose(1, 2).contiguous().transpose(1, 2);
  ASSERT_FALSE(strided.u.is_contiguous());
  const auto same = selective_scan(strided);
  EXPECT_TRUE(torch::equal(dense.y, same.y));
  EXPECT_TRUE(torch::equal(dense.h, same.h));
}

TEST(SelectiveScanTorch, FrozenOperandsAndNoGradAgree) {
  SelectiveScanTensors in = leaves({2, 40, 20, 1, 16}, torch::kFloat32, 6);
  const Tensor expected = torch::autograd::grad({loss(selective_scan(in))}, {in.u})[0];
  SelectiveScanTensors frozen = in;
  for (Tensor* x : {&frozen.dt, &frozen.A, &frozen.B, &frozen.C, &frozen.h0}) *x = x->detach();
  const auto out = selective_scan(frozen);
  EXPECT_TRUE(torch::equal(torch::autograd::grad({loss(out)}, {frozen.u})[0], expected));
  const torch::NoGradGuard guard;
  EXPECT_TRUE(torch::equal(selective_scan(in).y, out.y));
}

TEST(SelectiveScanTorch, EmptyExtentsAreFine) {
  for (const Size& size :
       {Size{0, 5, 3, 1, 2}, Size{2, 0, 3, 1, 2}, Size{2, 5, 0, 1, 2}, Size{2, 5, 3, 1, 0}}) {
    SelectiveScanTensors in = leaves(size, torch::kFloat32, 5);
    const auto out = selective_scan(in);
    EXPECT_EQ(out.y.sizes(), in.u.sizes());
    (out.y.sum() + out.h.sum()).backward();
    EXPECT_TRUE(torch::equal(in.A.grad(), torch::zeros_like(in.A)));
    if (size.time == 0) {
      EXPECT_TRUE(torch::equal(out.h, in.h0));
    }
  }
}

TEST(SelectiveScanTorch, RejectsBadShapes) {
  const SelectiveScanTensors good = leaves({2, 6, 4, 2, 3}, torch::kFloat32, 6);
  SelectiveScanTensors in = good;
  in.dt = good.dt.to(torch::kFloat64);
  EXPECT_THROW(selective_scan(in), InvalidArgument);
  in = good;
  in.B = good.B.select(2, 0);
  EXPECT_THROW(selective_scan(in), InvalidArgument);
  in = good;
  in.C = Tensor();
  EXPECT_THROW(selective_scan(in), InvalidArgument);
  in = good;
  in.D = good.D.narrow(0, 0, 2);
  EXPECT_THROW(selective_scan(in), InvalidArgument);
  in = good;
  in.starts = good.starts.to(torch::kInt64);
  EXPECT_THROW(selective_scan(in), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
