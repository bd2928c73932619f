// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {

/// Channels of the layers compared, as many as entries of their states: so they end unprojected.
inline constexpr int64_t kFrameworkChannels = 5;

/// Compares a recurrent family with a layer of torch, which becomes the oracle by our parameters;
/// set_bias(theirs, ours) sets the biases of its recurrence.
template <typename Layer, typename SetBias>
void expect_equals_framework(const char* family, Layer oracle, const SetBias& set_bias) {
  const MixerCase test_case = {"Oracle", family, {}, kFrameworkChannels};
  const TorchTrial trial(test_case, 3, torch::kFloat64);
  oracle->to(torch::kFloat64);
  const torch::NoGradGuard no_grad;
  auto theirs = oracle->named_parameters();
  theirs["weight_ih_l0"].copy_(trial.parameters.at("input.weight"));
  theirs["weight_hh_l0"].copy_(trial.parameters.at("recurrent.weight"));
  theirs["bias_ih_l0"].copy_(trial.parameters.at("input.bias"));
  theirs["bias_hh_l0"].zero_();
  set_bias(theirs["bias_hh_l0"], trial.parameters);
  const torch::Tensor u = random_tensor({2, 13, kFrameworkChannels}, 1);
  const torch::Tensor expected = std::get<0>(oracle->forward(u));
  const torch::Tensor got = trial.mixer->forward({.u = u}).y;
  const double bound = Tolerance::sum<double>(13 * kFrameworkChannels, 1.0).bound;
  EXPECT_LE((got - expected).abs().max().template item<double>(), bound);
}

}  // namespace longwave::mixers::testing
