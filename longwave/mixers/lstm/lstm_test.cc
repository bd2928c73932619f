// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lstm/lstm.h"

#include <gtest/gtest.h>

#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "lstm", {}, 3},
    {"Projected", "lstm", {"hidden=5"}, 4},
    {"OneChannel", "lstm", {"hidden=1", "forget_bias=0"}, 1},
    {"Wide", "lstm", {}, 17},
};
INSTANTIATE_TEST_SUITE_P(Lstm, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lstm, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Lstm, HasNoStepSize) {
  EXPECT_THROW((MixerCase{"Rate", "lstm", {}, 3}.make(1, 2.0)), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
