// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/attention/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "attention", {"window=8"}, 4},
    {"OneChannel", "attention", {"window=1"}, 1},
    {"SharedKeys", "attention", {"window=5", "heads=6", "kv_heads=2", "head_dim=4"}, 6},
    {"NoPositions", "attention", {"window=200", "rotary_base=0", "bias=true"}, 3},
    {"PartlyTurned", "attention", {"window=9", "head_dim=6", "rotary_part=0.7", "scale=0.3"}, 6},
    {"OddHeads", "attention", {"window=7", "head_dim=3", "heads=2"}, 5},
    {"Wide", "attention", {"window=33", "head_dim=16"}, 64},
};
INSTANTIATE_TEST_SUITE_P(Attention, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Attention, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

TEST(Attention, PositionsAreExactFarBeyondFloat32) {
  for (int64_t position : {int64_t{0}, int64_t{1}, (int64_t{1} << 20) - 1, int64_t{1} << 20,
                           (int64_t{1} << 24) + 1, (int64_t{1} << 43) + 12345}) {
    float pair[2];
    attention::store_position(position, pair);
    EXPECT_EQ(attention::position_of(pair), position);
  }
}

TEST(Attention, RejectsHeadsThatCannotShare) {
  EXPECT_THROW((MixerCase{"Bad", "attention", {"heads=4", "kv_heads=3"}, 8}.table()), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
