// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The laws of every training form, which laws_torch.cc states. A family's torch test includes this
/// file and instantiates them:
///
///   INSTANTIATE_TEST_SUITE_P(S4d, TorchMixerLaws, ValuesIn(kCases), case_name);
///   INSTANTIATE_TEST_SUITE_P(S4d, CausalTorchMixerLaws, ValuesIn(causal(kCases)), case_name);

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/testing/mixer_case.h"

namespace longwave::mixers::testing {

/// A training form with parameters of its own.
struct TorchTrial {
  std::map<std::string, torch::Tensor> parameters;
  std::unique_ptr<TorchMixer> mixer;
  int64_t state_size;

  /// Parameters have the type and device of `options`.
  TorchTrial(const MixerCase& test_case, uint64_t seed, const torch::TensorOptions& options);
  TorchTrial(const TorchTrial&) = delete;
  TorchTrial& operator=(const TorchTrial&) = delete;
};

template <int Rank>
torch::Tensor tensor_of(const Numbers<Rank>& numbers) {
  const auto& extents = numbers.view.extents();
  torch::Tensor tensor = torch::empty(std::vector<int64_t>(extents.begin(), extents.end()));
  std::ranges::copy(numbers.values, tensor.data_ptr<float>());
  return tensor;
}

std::vector<float> values_of(const torch::Tensor& tensor);

/// Numbers in [-1, 1), the same for a seed on every machine.
torch::Tensor random_tensor(const std::vector<int64_t>& shape, uint64_t seed);

/// The largest absolute value; 0 of no values.
double most(const torch::Tensor& tensor);

class TorchMixerLaws : public ::testing::TestWithParam<MixerCase> {
 protected:
  static constexpr uint64_t kSeed = 20;
};

/// Laws of mixers that carry a state.
class CausalTorchMixerLaws : public TorchMixerLaws {};

}  // namespace longwave::mixers::testing
