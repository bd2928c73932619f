// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The laws of every torch-free mixer, which laws.cc states. A family's test includes this file and
/// instantiates them:
///
///   INSTANTIATE_TEST_SUITE_P(S4d, MixerLaws, ValuesIn(kCases), case_name);
///   INSTANTIATE_TEST_SUITE_P(S4d, CausalMixerLaws, ValuesIn(causal(kCases)), case_name);

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>

#include "longwave/mixers/testing/mixer_case.h"

namespace longwave::mixers::testing {

class MixerLaws : public ::testing::TestWithParam<MixerCase> {
 protected:
  static constexpr int64_t kLengths[] = {0, 1, 2, 37, 64};
  static constexpr int64_t kBatch = 3;
  static constexpr uint64_t kSeed = 20;

  const std::unique_ptr<Mixer> mixer_ = GetParam().make(kSeed);
};

/// Laws of mixers that stream; those that look ahead have no step and keep no state.
class CausalMixerLaws : public MixerLaws {};

/// K_{r dt}[l] = K_dt[r l] + ... + K_dt[r l + r - 1]: exact for zero-order hold, as holding an
/// input for r steps is one step of r times the length. Compared on systems, in double.
void expect_zoh_rate_identity(const MixerCase& test_case, int64_t rate, int64_t length);

}  // namespace longwave::mixers::testing
