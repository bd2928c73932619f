// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru_torch.h"

#include "longwave/mixers/recurrent/testing/framework_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "gru", {}, 3},
    {"Projected", "gru", {"hidden=4"}, 2},
    {"OneChannel", "gru", {"hidden=1"}, 1},
};
INSTANTIATE_TEST_SUITE_P(Gru, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Gru, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

/// The framework's own layer, with our parameters, is the oracle.
TEST(Gru, EqualsTheFrameworksLayer) {
  const torch::nn::GRU oracle(
      torch::nn::GRUOptions(kFrameworkChannels, kFrameworkChannels).batch_first(true));
  expect_equals_framework("gru", oracle, [](torch::Tensor b, const auto& ours) {
    b.slice(0, 2 * kFrameworkChannels).copy_(ours.at("recurrent.bias"));
  });
}

}  // namespace
}  // namespace longwave::mixers::testing
