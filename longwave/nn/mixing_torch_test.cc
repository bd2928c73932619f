// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mixing_torch.h"

#include <gtest/gtest.h>

#include <vector>

#include "longwave/nn/testing/twins_torch.h"

namespace longwave::nn {
namespace {

using testing::expect_close;
using testing::expect_same_graph;
using testing::kBatch;
using testing::kChannels;
using testing::kTime;
using testing::random_tensor;
using testing::rows_of;
using testing::Twins;

constexpr MixingKind kMixings[] = {MixingKind::kNone, MixingKind::kLinear, MixingKind::kGlu,
                                   MixingKind::kHalfGlu1, MixingKind::kHalfGlu2};
constexpr ops::Activation kActivations[] = {ops::Activation::kIdentity, ops::Activation::kGelu,
                                            ops::Activation::kSilu};

torch::Tensor plain_activation(ops::Activation f, const torch::Tensor& x) {
  if (f == ops::Activation::kGelu) return torch::gelu(x, "tanh");
  return f == ops::Activation::kSilu ? torch::silu(x) : x;
}

torch::Tensor plain_mixing(const MixingCall& call, const ParameterLookup& p) {
  const torch::Tensor active = plain_activation(call.activation, call.v);
  torch::Tensor h = active;
  if (call.kind != MixingKind::kNone) h = torch::linear(active, p("weight"), p("bias"));
  if (call.kind == MixingKind::kGlu) h = torch::glu(h, -1);
  if (call.kind == MixingKind::kHalfGlu1) h = active * torch::sigmoid(h);
  if (call.kind == MixingKind::kHalfGlu2) h = call.v * torch::sigmoid(h);
  return call.x + (call.mask.defined() ? call.mask * h : h);
}

TEST(Mixing, TorchEqualsTorchFree) {
  for (MixingKind kind : kMixings) {
    for (ops::Activation f : kActivations) {
      const Twins twins(mixing_parameters(kind, kChannels));
      const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
      const torch::Tensor v = random_tensor({kBatch, kTime, kChannels}, 2);
      const torch::Tensor expected =
          mixing({.kind = kind, .activation = f, .x = x, .v = v, .mask = {}}, twins.lookup());
      const Mixing free(twins.weights, kind, f, kChannels);
      Workspace workspace(free.workspace_bytes(kBatch * kTime));
      const torch::Tensor got = x.clone();
      free.apply(rows_of(got), rows_of(v), workspace);
      expect_close("x", expected, got, kChannels);
    }
  }
}

TEST(Mixing, GraphEqualsPlainTorch) {
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor v = random_tensor({kBatch, kTime, kChannels}, 2);
  const torch::Tensor masks[] = {torch::Tensor(), random_tensor({kBatch, 1, kChannels}, 3),
                                 random_tensor({kBatch, kTime, kChannels}, 4)};
  for (MixingKind kind : kMixings) {
    for (ops::Activation f : kActivations) {
      for (const torch::Tensor& mask : masks) {
        const auto call = [&](const std::vector<torch::Tensor>& inputs) {
          return MixingCall{.kind = kind,
                            .activation = f,
                            .x = inputs[0],
                            .v = inputs[1],
                            .mask = mask.defined() ? mask.to(inputs[0].dtype()) : mask};
        };
        expect_same_graph(
            Twins(mixing_parameters(kind, kChannels)), {x, v},
            [&](const auto& inputs, const ParameterLookup& p) { return mixing(call(inputs), p); },
            [&](const auto& inputs, const ParameterLookup& p) {
              return plain_mixing(call(inputs), p);
            });
      }
    }
  }
}

}  // namespace
}  // namespace longwave::nn
