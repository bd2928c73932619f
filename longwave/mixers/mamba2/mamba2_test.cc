// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "mamba2", {"state=8"}, 3},
    {"OneChannel", "mamba2", {"state=1", "expand=1", "width=1"}, 1},
    {"Groups", "mamba2", {"state=5", "head_dim=2", "groups=3", "width=3"}, 6},
    {"NormBeforeGate", "mamba2", {"state=4", "norm=before_gate", "norm_groups=2", "bias=true"}, 4},
    {"NoNorm", "mamba2", {"state=4", "norm=none", "skip=channel", "conv_bias=false"}, 5},
    {"Limited", "mamba2", {"state=16", "dt_least=0.01", "dt_most=0.05", "head_dim=4"}, 8},
    {"Wide", "mamba2", {"state=32", "groups=2", "head_dim=16"}, 32},
};
INSTANTIATE_TEST_SUITE_P(Mamba2, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Mamba2, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Mamba2, StartsAsPublished) {
  const MixerCase test_case = {"Init", "mamba2", {"head_dim=4"}, 64};
  const Weights weights = test_case.weights(1);
  for (float bias : weights.get("dt_bias", {32})) {
    const double dt = std::log1p(std::exp(static_cast<double>(bias)));
    EXPECT_GE(dt, 1e-3 * (1 - 1e-5));
    EXPECT_LE(dt, 0.1 * (1 + 1e-5));
  }
  for (float value : weights.get("A_log", {32})) {
    EXPECT_GE(value, 0);
    EXPECT_LE(value, std::log(16.0f) * 1.00001f);
  }
  EXPECT_EQ(weights.get("in_proj.weight", {2 * 128 + 2 * 128 + 32, 64}).size(), 544u * 64);
}

TEST(Mamba2, RejectsWhatDoesNotDivide) {
  const auto table = [](const std::string& setting) {
    return MixerCase{"Bad", "mamba2", {setting}, 6}.table();
  };
  EXPECT_THROW(table("head_dim=5"), ConfigError);
  EXPECT_THROW(table("groups=5"), ConfigError);
  EXPECT_THROW(table("norm_groups=5"), ConfigError);
  EXPECT_THROW(table("dt_least=1e10"), ConfigError);
  EXPECT_THROW(table("A_min=17"), ConfigError);
  EXPECT_THROW(table("dt_min=0.5"), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
