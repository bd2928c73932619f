// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/norm_torch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "longwave/nn/testing/twins_torch.h"
#include "longwave/ops/testing/gradient_check_torch.h"
#include "longwave/ops/testing/live_bytes_torch.h"

namespace longwave::nn {
namespace {

using longwave::testing::weighted_sum;
using testing::expect_close;
using testing::expect_same_graph;
using testing::kBatch;
using testing::kChannels;
using testing::kTime;
using testing::random_tensor;
using testing::rows_of;
using testing::Twins;

constexpr NormKind kNorms[] = {NormKind::kLayer, NormKind::kRms, NormKind::kBatch};

torch::Tensor plain_norm(NormKind kind, const torch::Tensor& x, const ParameterLookup& p) {
  const double epsilon = kNormEpsilon;
  if (kind == NormKind::kLayer) {
    return torch::layer_norm(x, {x.size(-1)}, p("weight"), p("bias"), epsilon);
  }
  if (kind == NormKind::kRms) {
    return x * torch::rsqrt(x.square().mean(-1, true) + epsilon) * p("weight");
  }
  const torch::Tensor turned = x.transpose(1, 2);
  return torch::batch_norm(turned, p("weight"), p("bias"), p("running_mean"), p("running_var"),
                           true, kNormMomentum, epsilon, false)
      .transpose(1, 2);
}

TEST(Norm, TorchEqualsTorchFree) {
  for (NormKind kind : kNorms) {
    const Twins twins(norm_parameters(kind, kChannels));
    const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
    const torch::Tensor expected =
        norm(kind, x, torch::Tensor(), Phase::kEvaluation, twins.lookup());
    const torch::Tensor got = torch::full_like(x, NAN);
    Norm(twins.weights, kind, kChannels).apply(rows_of(x), rows_of(got));
    expect_close("y", expected, got, kChannels);
  }
}

TEST(Norm, GraphEqualsPlainTorch) {
  for (NormKind kind : kNorms) {
    expect_same_graph(
        Twins(norm_parameters(kind, kChannels)), {random_tensor({kBatch, kTime, kChannels}, 2)},
        [&](const auto& inputs, const ParameterLookup& p) {
          return norm(kind, inputs[0], torch::Tensor(), Phase::kTraining, p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          return plain_norm(kind, inputs[0], p);
        });
  }
}

constexpr int64_t kOutputs = 4;

struct NormLinearCase {
  NormKind kind;
  int64_t time;
  torch::Tensor x, W, b;  // b undefined in every other case

  NormLinear call(const std::vector<torch::Tensor>& inputs) const {
    return {.kind = kind,
            .phase = Phase::kTraining,
            .x = inputs[0],
            .W = inputs[1],
            .b = inputs.size() > 2 ? inputs[2] : torch::Tensor()};
  }
  std::vector<torch::Tensor> inputs() const {
    return b.defined() ? std::vector{x, W, b} : std::vector{x, W};
  }
};

std::vector<NormLinearCase> norm_linear_cases(std::initializer_list<int64_t> times) {
  std::vector<NormLinearCase> cases;
  for (NormKind kind : kNorms) {
    for (int64_t time : times) {
      for (bool bias : {false, true}) {
        cases.push_back({.kind = kind,
                         .time = time,
                         .x = random_tensor({kBatch, time, kChannels}, 2),
                         .W = random_tensor({kOutputs, kChannels}, 3),
                         .b = bias ? random_tensor({kOutputs}, 4) : torch::Tensor()});
      }
    }
  }
  return cases;
}

TEST(NormLinear, GraphEqualsPlainTorch) {
  for (const NormLinearCase& test : norm_linear_cases({1, kTime})) {
    expect_same_graph(
        Twins(norm_parameters(test.kind, kChannels)), test.inputs(),
        [&](const auto& inputs, const ParameterLookup& p) {
          return norm_linear(test.call(inputs), p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          const torch::Tensor y = torch::linear(plain_norm(test.kind, inputs[0], p), inputs[1]);
          return test.b.defined() ? y + inputs[2] : y;
        });
  }
}

TEST(NormLinear, GradientMatchesFiniteDifference) {
  for (const NormLinearCase& test : norm_linear_cases({3})) {
    if (test.kind == NormKind::kBatch) continue;  // moves its running statistics
    const Twins twins = Twins(norm_parameters(test.kind, kChannels)).exact();
    std::vector<longwave::testing::Operand> operands;
    std::vector<torch::Tensor> inputs;
    for (const torch::Tensor& input : test.inputs()) {
      inputs.push_back(input.to(torch::kFloat64).requires_grad_());
      operands.push_back({"input " + std::to_string(operands.size()), inputs.back()});
    }
    for (const auto& [name, tensor] : twins.tensors) operands.push_back({name, tensor});
    longwave::testing::expect_gradients(
        [&] { return weighted_sum(norm_linear(test.call(inputs), twins.lookup())); }, operands);
  }
}

TEST(NormLinear, HasTheBitsOfNormAndLinear) {
  for (const NormLinearCase& test : norm_linear_cases({0, 1, kTime})) {
    if (test.kind == NormKind::kBatch && test.time == 0) continue;
    const Twins twins(norm_parameters(test.kind, kChannels));
    const Twins same(norm_parameters(test.kind, kChannels));
    const torch::Tensor normed =
        norm(test.kind, test.x, torch::Tensor(), Phase::kTraining, twins.lookup());
    EXPECT_TRUE(torch::equal(linear(normed, test.W, test.b),
                             norm_linear(test.call(test.inputs()), same.lookup())));
  }
}

TEST(NormLinear, GradientsOfNoStepsAreZero) {
  for (const NormLinearCase& test : norm_linear_cases({0})) {
    if (test.kind == NormKind::kBatch) continue;
    const Twins twins = Twins(norm_parameters(test.kind, kChannels)).exact();
    std::vector<torch::Tensor> inputs = test.inputs();
    for (torch::Tensor& input : inputs) input = input.to(torch::kFloat64).requires_grad_();
    norm_linear(test.call(inputs), twins.lookup()).sum().backward();
    for (const torch::Tensor& input : inputs) {
      EXPECT_TRUE(torch::equal(input.grad(), torch::zeros_like(input)));
    }
    for (const auto& [name, tensor] : twins.tensors) {
      EXPECT_TRUE(torch::equal(tensor.grad(), torch::zeros_like(tensor))) << name;
    }
  }
}

TEST(NormLinear, KeepsItsInputAlone) {
  for (NormKind kind : {NormKind::kLayer, NormKind::kRms}) {
    const Twins twins = Twins(norm_parameters(kind, kChannels)).exact();
    const auto options = torch::TensorOptions(torch::kFloat64).requires_grad(true);
    const torch::Tensor x = torch::rand({kBatch, kTime, kChannels}, options);
    const torch::Tensor W = torch::rand({kOutputs, kChannels}, options);
    const longwave::testing::LiveBytes live;
    const torch::Tensor y = norm_linear(
        {.kind = kind, .phase = Phase::kTraining, .x = x, .W = W, .b = {}}, twins.lookup());
    const int64_t moments = 2 * kBatch * kTime;
    EXPECT_EQ(live.now(), 8 * (y.numel() + moments));
  }
}

}  // namespace
}  // namespace longwave::nn
