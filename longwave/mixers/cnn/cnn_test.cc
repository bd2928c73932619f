// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/cnn/cnn.h"

#include <gtest/gtest.h>

#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "cnn", {}, 3},
    {"Pointwise", "cnn", {"width=1"}, 4},
    {"Dilated", "cnn", {"width=3", "dilation=4"}, 5},
    {"Long", "cnn", {"width=70"}, 1},
};
INSTANTIATE_TEST_SUITE_P(Cnn, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Cnn, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Cnn, HasNoStepSize) {
  EXPECT_THROW((MixerCase{"Rate", "cnn", {}, 3}.make(1, 2.0)), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
