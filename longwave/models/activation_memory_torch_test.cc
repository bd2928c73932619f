// SPDX-License-Identifier: Apache-2.0
// What a training step of selective models holds, against a count of what it cannot do without.
// bench/training_memory.py prints the figures of these tests.

#include <gtest/gtest.h>

#include "longwave/models/sequence_model_torch.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/ops/testing/live_bytes_torch.h"

namespace longwave::models {
namespace {

using longwave::testing::LiveBytes;
using testing::ModelCase;

constexpr int64_t kHeadDim = 64;  // of Mamba-2

struct Size {
  const char* name;
  int64_t channels, layers, batch, time, tokens;
};
/// The second is that of recipes/austen_mamba.toml and austen_mamba2.toml with train.batch=4
/// text.length=1024.
const Size kSizes[] = {{"Small", 128, 4, 2, 256, 64}, {"Austen", 256, 4, 4, 1024, 256}};

/// Numbers a step that the gradients of one layer read.
struct Count {
  int64_t least;     ///< that take a large product or a scan to compute
  int64_t computed;  ///< that element-wise work on those gives, a convolution of four taps, or a
                     ///< product of small rank
};

int64_t state_of(const std::string& family) { return family == "mamba" ? 16 : 64; }

Count count_of(const std::string& family, int64_t channels) {
  const int64_t inner = 2 * channels, selected = 2 * state_of(family);
  if (family == "mamba") {
    const int64_t rank = channels / 16;
    // The residual stream, signal and gate, the selections, what the scan gave; the normalised
    // stream, what the convolution gave, the step sizes.
    return {channels + 2 * inner + rank + selected + inner, channels + inner + inner};
  }
  // The same; here B and C pass through the convolution, and the norm follows the scan.
  const int64_t projected = 2 * inner + selected + inner / kHeadDim;
  return {channels + projected + inner, channels + inner + selected + inner};
}

TorchSequenceModel make_model(const std::string& family, const Size& size) {
  const Interface io{Interface::Input::kTokens, size.tokens, Interface::Output::kStep, size.tokens};
  ModelCase model{.name = family,
                  .settings = {"model.pattern=" + family + "*" + std::to_string(size.layers),
                               "model.d_model=" + std::to_string(size.channels), "model.norm=rms",
                               "model.activation=none", "model.mixing=none",
                               family + ".state=" + std::to_string(state_of(family))},
                  .interface = io};
  if (family == "mamba2") {
    model.settings.push_back("mamba2.head_dim=" + std::to_string(kHeadDim));
  }
  return TorchSequenceModel(model.config(), model.weights(1));
}

class ActivationMemory : public ::testing::TestWithParam<std::tuple<const char*, Size>> {};

std::string name_of(const ::testing::TestParamInfo<ActivationMemory::ParamType>& info) {
  return std::string(std::get<0>(info.param)) + std::get<1>(info.param).name;
}

TEST_P(ActivationMemory, StaysNearWhatGradientsCannotDoWithout) {
  const auto& [family, size] = GetParam();
  TorchSequenceModel model = make_model(family, size);
  const int64_t steps = size.batch * size.time;
  const torch::Tensor tokens = torch::arange(steps).remainder(size.tokens);
  const auto loss = [&] {
    const auto output = model.forward({.tokens = tokens.view({size.batch, size.time})});
    return torch::nn::functional::cross_entropy(output.output.view({steps, size.tokens}), tokens);
  };
  // The first pass makes the gradients of parameters.
  loss().backward();
  LiveBytes live;
  const torch::Tensor value = loss();
  const int64_t kept = live.now();
  value.backward();

  // Beside the layers, the last norm and the loss keep a row each, and the head can normalise
  // again.
  const Count layer = count_of(family, size.channels);
  const int64_t least = 4 * steps * (size.layers * layer.least + size.channels + size.tokens);
  const int64_t read = least + 4 * steps * (size.layers * layer.computed + size.channels);
  RecordProperty("least", std::to_string(least));
  RecordProperty("read", std::to_string(read));
  RecordProperty("kept", std::to_string(kept));
  RecordProperty("most", std::to_string(live.most()));
  EXPECT_GE(kept, least) << "the count is wrong";
  // With what the backward pass needs for itself, gradients of signals among it.
  EXPECT_LE(2 * live.most(), 3 * least);
}
INSTANTIATE_TEST_SUITE_P(Selective, ActivationMemory,
                         ::testing::Combine(::testing::Values("mamba", "mamba2"),
                                            ::testing::ValuesIn(kSizes)),
                         name_of);

}  // namespace
}  // namespace longwave::models
