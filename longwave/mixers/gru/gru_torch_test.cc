// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

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
  constexpr int64_t kChannels = 5, kHidden = 5;
  const MixerCase test_case = {"Oracle", "gru", {}, kChannels};
  const TorchTrial trial(test_case, 3, torch::kFloat64);
  torch::nn::GRU oracle(torch::nn::GRUOptions(kChannels, kHidden).batch_first(true));
  oracle->to(torch::kFloat64);
  const torch::NoGradGuard no_grad;
  auto theirs = oracle->named_parameters();
  theirs["weight_ih_l0"].copy_(trial.parameters.at("input.weight"));
  theirs["weight_hh_l0"].copy_(trial.parameters.at("recurrent.weight"));
  theirs["bias_ih_l0"].copy_(trial.parameters.at("input.bias"));
  theirs["bias_hh_l0"].zero_();
  theirs["bias_hh_l0"].slice(0, 2 * kHidden).copy_(trial.parameters.at("recurrent.bias"));
  const torch::Tensor u = random_tensor({2, 13, kChannels}, 1);
  const torch::Tensor expected = std::get<0>(oracle->forward(u));
  const torch::Tensor got = trial.mixer->forward({.u = u}).y;
  const double bound = Tolerance::sum<double>(13 * kHidden, 1.0).bound;
  EXPECT_LE((got - expected).abs().max().item<double>(), bound);
}

}  // namespace
}  // namespace longwave::mixers::testing
