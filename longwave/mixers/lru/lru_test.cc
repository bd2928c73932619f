// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lru/lru.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "longwave/mixers/testing/laws.h"
#include "longwave/theory/system.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "lru", {"state=5"}, 3},
    {"OneMode", "lru", {"state=1"}, 1},
    {"ManyModes", "lru", {"state=70", "r_min=0.5", "r_max=0.99"}, 9},
    {"SlowRotation", "lru", {"state=8", "max_phase=0.314"}, 33},
};
INSTANTIATE_TEST_SUITE_P(Lru, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lru, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Lru, RateIsAnInputHeldForSoManySteps) {
  for (int64_t rate : {2, 3, 7}) {
    expect_zoh_rate_identity({"Rate", "lru", {"state=6"}, 3}, rate, 30);
  }
}

TEST(Lru, StartsOnTheRing) {
  const MixerCase test_case = {
      "Ring", "lru", {"state=200", "r_min=0.6", "r_max=0.8", "max_phase=1.5"}, 2};
  const Eigen::VectorXcd poles = test_case.make(1)->system(0).A.diagonal();
  double least = 1, most = 0;
  for (const std::complex<double>& a : poles) {
    least = std::min(least, std::abs(a));
    most = std::max(most, std::abs(a));
    EXPECT_GT(std::arg(a), 0);
    EXPECT_LT(std::arg(a), 1.5 + 1e-6);
  }
  EXPECT_GE(least, 0.6 - 1e-6);
  EXPECT_LE(most, 0.8 + 1e-6);
  EXPECT_GT(most - least, 0.1) << "poles do not fill the ring";
}

/// Under white noise of variance 1 a state has variance gamma^2 |b|^2 / (1 - |a|^2): gamma makes it
/// that of the projected input, whatever the pole.
TEST(Lru, GammaStartsAsTheNormalisation) {
  const Weights weights = MixerCase{"Gamma", "lru", {"state=50"}, 2}.weights(4);
  const auto rows = weights.view<2>("Lambda_log", {3, 50});
  for (int64_t n = 0; n < 50; ++n) {
    const double modulus = std::exp(-std::exp(static_cast<double>(rows(0, n))));
    EXPECT_NEAR(std::exp(2.0 * rows(2, n)), 1 - modulus * modulus, 1e-6);
  }
}

TEST(Lru, RejectsAnEmptyRing) {
  EXPECT_THROW((MixerCase{"Bad", "lru", {"r_min=0.9", "r_max=0.9"}, 3}.table()), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
