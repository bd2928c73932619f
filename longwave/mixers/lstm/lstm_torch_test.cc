// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lstm/lstm_torch.h"

#include "longwave/mixers/recurrent/testing/framework_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "lstm", {}, 3},
    {"Projected", "lstm", {"hidden=4"}, 2},
    {"OneChannel", "lstm", {"hidden=1"}, 1},
};
INSTANTIATE_TEST_SUITE_P(Lstm, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lstm, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

/// The framework's own layer, with our parameters, is the oracle.
TEST(Lstm, EqualsTheFrameworksLayer) {
  const torch::nn::LSTM oracle(
      torch::nn::LSTMOptions(kFrameworkChannels, kFrameworkChannels).batch_first(true));
  expect_equals_framework("lstm", oracle, [](const auto&...) {});
}

}  // namespace
}  // namespace longwave::mixers::testing
