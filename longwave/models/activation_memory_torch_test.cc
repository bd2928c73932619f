// SPDX-License-Identifier: Apache-2.0
// What a training step keeps between its forward and its backward pass.

#include <gtest/gtest.h>

#include "longwave/models/sequence_model_torch.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/ops/testing/live_bytes_torch.h"

namespace longwave::models {
namespace {

using longwave::testing::LiveBytes;
using testing::ModelCase;

constexpr int64_t kChannels = 128, kInner = 2 * kChannels, kState = 16, kLayers = 2, kTokens = 64;

/// A family, and the numbers a step of its layers that no gradient can do without: the residual
/// stream, the gate and the convolution's input, what the scan reads besides, and what it gave.
/// What rows of those give by element-wise work, a convolution of four taps or a product of a rank
/// as small as Mamba's step sizes have can be computed again.
struct Kept {
  const char* family;
  std::vector<std::string> settings;
  int64_t least;
};

const Kept kKept[] = {
    {"mamba", {}, kChannels + 2 * kInner + (kChannels / 16 + 2 * kState) + kInner},
    {"mamba2",
     {"mamba2.head_dim=64"},
     kChannels + (2 * kInner + 2 * kState + kInner / 64) + kInner},
};

std::string name_of(const ::testing::TestParamInfo<Kept>& info) { return info.param.family; }

class ActivationMemory : public ::testing::TestWithParam<Kept> {};

TEST_P(ActivationMemory, StaysNearWhatGradientsCannotDoWithout) {
  const Kept& kept = GetParam();
  const std::string family = kept.family;
  ModelCase model_case{
      .name = family,
      .settings = {"model.pattern=" + family + "*" + std::to_string(kLayers),
                   "model.d_model=" + std::to_string(kChannels), "model.norm=rms",
                   "model.activation=none", "model.mixing=none",
                   family + ".state=" + std::to_string(kState)},
      .interface = {Interface::Input::kTokens, kTokens, Interface::Output::kStep, kTokens}};
  model_case.settings.insert(model_case.settings.end(), kept.settings.begin(), kept.settings.end());
  TorchSequenceModel model(model_case.config(), model_case.weights(1));
  for (const int64_t time : {256, 768}) {
    SCOPED_TRACE(::testing::Message() << time << " steps");
    constexpr int64_t kBatch = 2;
    const torch::Tensor tokens = torch::arange(kBatch * time).remainder(kTokens);
    const auto loss = [&] {
      const torch::Tensor logits =
          model.forward({.tokens = tokens.view({kBatch, time})}).output.view({-1, kTokens});
      return torch::nn::functional::cross_entropy(logits, tokens);
    };
    // The first pass makes the gradients of parameters.
    loss().backward();
    LiveBytes live;
    const torch::Tensor value = loss();
    // Beside the layers, the last norm and the loss read a row each.
    const auto least =
        static_cast<double>(4 * kBatch * time * (kLayers * kept.least + kChannels + kTokens));
    EXPECT_LE(static_cast<double>(live.now()), 1.5 * least);
    EXPECT_GE(static_cast<double>(live.now()), least) << "the count is wrong";
    RecordProperty("kept", std::to_string(static_cast<double>(live.now()) / least));
    value.backward();
    RecordProperty("most", std::to_string(static_cast<double>(live.most()) / least));
  }
}
INSTANTIATE_TEST_SUITE_P(Selective, ActivationMemory, ::testing::ValuesIn(kKept), name_of);

}  // namespace
}  // namespace longwave::models
