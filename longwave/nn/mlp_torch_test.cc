// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mlp_torch.h"

#include <gtest/gtest.h>

#include "longwave/nn/moe_torch.h"
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

TEST(Mlp, TorchEqualsTorchFree) {
  constexpr int64_t kHidden = 11;
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    const MlpConfig config = {.kind = kind, .channels = kChannels, .hidden = kHidden};
    const Twins twins(mlp_parameters(config));
    const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
    const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
    const torch::Tensor expected = mlp({.kind = kind, .x = x, .h = h, .mask = {}}, twins.lookup());
    const Mlp free(twins.weights, config);
    Workspace workspace(free.workspace_bytes(kBatch * kTime));
    const torch::Tensor got = x.clone();
    free.apply(rows_of(got), rows_of(h), workspace);
    expect_close("x", expected, got, kHidden);
  }
}

TEST(Mlp, GraphEqualsPlainTorch) {
  constexpr int64_t kHidden = 11;
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
  const torch::Tensor mask = random_tensor({kBatch, 1, kChannels}, 3);
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    expect_same_graph(
        Twins(mlp_parameters({.kind = kind, .channels = kChannels, .hidden = kHidden})), {x, h},
        [&](const auto& inputs, const ParameterLookup& p) {
          return mlp(
              {.kind = kind, .x = inputs[0], .h = inputs[1], .mask = mask.to(inputs[0].dtype())},
              p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          const torch::Tensor up = torch::linear(inputs[1], p("up.weight"), p("up.bias"));
          torch::Tensor inner = torch::gelu(up, "tanh");
          if (kind == MlpKind::kSwiglu) {
            inner = up.slice(2, 0, kHidden) * torch::silu(up.slice(2, kHidden));
          }
          const torch::Tensor down = torch::linear(inner, p("down.weight"), p("down.bias"));
          return inputs[0] + mask.to(inputs[0].dtype()) * down;
        });
  }
}

TEST(Moe, TorchEqualsTorchFree) {
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    for (int64_t chosen : {1, 2, 5}) {
      const MoeConfig config = {.kind = kind,
                                .channels = kChannels,
                                .hidden = 7,
                                .experts = 5,
                                .chosen = chosen,
                                .renormalise = chosen == 2};
      const Twins twins(moe_parameters(config));
      const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
      const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
      const torch::Tensor expected =
          moe({.config = config, .x = x, .h = h, .mask = {}}, twins.lookup()).y;
      const Moe free(twins.weights, config);
      Workspace workspace(free.workspace_bytes(kBatch * kTime));
      const torch::Tensor got = x.clone();
      free.apply(rows_of(got), rows_of(h), workspace);
      expect_close("x", expected, got, 7 * chosen);
    }
  }
}

TEST(Moe, BalanceIsItsWeightWhereExpertsAreAlike) {
  const MoeConfig config = {.channels = 3, .hidden = 2, .experts = 4, .chosen = 1, .balance = 0.5};
  const Twins twins(moe_parameters(config));
  const auto balance = [&](const torch::Tensor& h) {
    const torch::Tensor x = torch::zeros_like(h);
    return moe({.config = config, .x = x, .h = h, .mask = {}}, twins.lookup())
        .balance.item<double>();
  };
  // A zero input makes all probabilities alike, so that choices do not matter.
  EXPECT_NEAR(balance(torch::zeros({1, 6, 3})), 0.5, 1e-6);
  EXPECT_GT(balance(50 * torch::ones({1, 6, 3})), 1.0);
}

}  // namespace
}  // namespace longwave::nn
