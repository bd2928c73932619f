// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "mamba", {}, 3},
    {"OneChannel", "mamba", {"state=1", "expand=1", "width=1"}, 1},
    {"Odd", "mamba", {"state=5", "expand=3", "width=3", "dt_rank=2"}, 7},
    {"Biases", "mamba", {"bias=true", "conv_bias=false", "dt_init=constant"}, 17},
    {"Plain", "mamba", {"selection_norm=plain", "dt_rank=3"}, 7},
    {"Learned", "mamba", {"selection_norm=learned", "selection_epsilon=0.001"}, 17},
};
INSTANTIATE_TEST_SUITE_P(Mamba, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Mamba, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Mamba, StartsAsPublished) {
  const MixerCase test_case = {"Init", "mamba", {"dt_min=0.01", "dt_max=0.2"}, 32};
  const Weights weights = test_case.weights(1);
  for (float bias : weights.get("dt_proj.bias", {64})) {
    const double dt = std::log1p(std::exp(static_cast<double>(bias)));
    EXPECT_GE(dt, 0.01 * (1 - 1e-5));
    EXPECT_LE(dt, 0.2 * (1 + 1e-5));
  }
  const auto A_log = weights.get("A_log", {64, 16});
  for (size_t i = 0; i < A_log.size(); ++i) {
    EXPECT_FLOAT_EQ(std::exp(A_log[i]), static_cast<float>(i % 16 + 1));
  }
  for (float w : weights.get("dt_proj.weight", {64, 2})) EXPECT_LE(std::abs(w), std::sqrt(0.5f));
}

TEST(Mamba, ScanParametersDoNotDecay) {
  for (const Parameter& parameter : MixerCase{"Groups", "mamba", {}, 4}.table()) {
    const bool scan = parameter.name == "A_log" || parameter.name == "dt_proj.bias";
    EXPECT_EQ(parameter.group == ParameterGroup::kSsm, scan) << parameter.name;
    EXPECT_TRUE(parameter.name != "D" || parameter.group == ParameterGroup::kNoDecay);
  }
}

/// An input held for r steps is nearly one step of r times the length where steps are short.
TEST(Mamba, RateMultipliesStepSizes) {
  const MixerCase test_case = {"Rate", "mamba", {"width=1", "dt_max=0.001"}, 3};
  const auto fast = test_case.make(4), slow = test_case.make(4, 4.0);
  constexpr int64_t kTime = 8, kRate = 4;
  Trial many(*fast, 1, kTime * kRate, 5), few(*slow, 1, kTime, 5);
  std::ranges::copy(many.state.values, few.state.values.begin());
  for (int64_t t = 0; t < kTime * kRate; ++t) {
    for (int64_t i = 0; i < 3; ++i) many.u.view(0, t, i) = few.u.view(0, t / kRate, i);
  }
  many.prefill(*fast);
  few.prefill(*slow);
  // Euler's rule: relative errors of the order of rate dt |A|.
  for (size_t i = 0; i < few.state.values.size(); ++i) {
    EXPECT_NEAR(many.state.values[i], few.state.values[i], 0.02) << "state " << i;
  }
}

}  // namespace
}  // namespace longwave::mixers::testing
