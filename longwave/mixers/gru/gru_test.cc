// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru.h"

#include <gtest/gtest.h>

#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "gru", {}, 3},
    {"Projected", "gru", {"hidden=5"}, 4},
    {"OneChannel", "gru", {"hidden=1"}, 1},
    {"Wide", "gru", {}, 17},
};
INSTANTIATE_TEST_SUITE_P(Gru, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Gru, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Gru, HasNoStepSize) {
  EXPECT_THROW((MixerCase{"Rate", "gru", {}, 3}.make(1, 2.0)), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
