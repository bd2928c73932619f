// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4d/s4d.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "longwave/mixers/testing/laws.h"
#include "longwave/theory/system.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Legs", "s4d", {"state=8"}, 3},
    {"LegsHippoB", "s4d", {"state=16", "B_init=hippo"}, 17},
    {"OneMode", "s4d", {"state=2", "init=lin"}, 1},
    {"Inv", "s4d", {"state=64", "init=inv"}, 5},
    {"RealBilinear", "s4d", {"state=12", "init=real", "discretization=bilinear"}, 4},
    {"QuadShared", "s4d", {"state=6", "init=quad", "copies=2"}, 6},
    {"Dfout", "s4d", {"state=10", "init=dfout"}, 4},
    {"Bidirectional", "s4d", {"state=6", "bidirectional=true"}, 5},
};
INSTANTIATE_TEST_SUITE_P(S4d, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S4d, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(S4d, RateObeysTheZeroOrderHoldIdentity) {
  const MixerCase test_case = {"Zoh", "s4d", {"state=16"}, 3};
  for (int64_t rate : {2, 3, 7}) expect_zoh_rate_identity(test_case, rate, 40);
}

TEST(S4d, ChannelsShareCopiesInTurn) {
  const MixerCase test_case = {"Copies", "s4d", {"state=4", "copies=2"}, 6};
  Weights weights = test_case.weights(3);
  Tensor A_im(DType::kFloat32, {2, 2}), log_dt(DType::kFloat32, {6});
  std::ranges::copy(std::vector<float>{1, 2, 3, 4}, A_im.elements<float>().begin());
  weights.put("A_im", std::move(A_im));
  weights.put("log_dt", std::move(log_dt));
  const auto mixer = test_case.of().make(test_case.options(), 6, weights, 1);
  for (int64_t h = 0; h < 6; ++h) {
    EXPECT_NEAR(std::arg(mixer->system(h).A(0, 0)), h % 2 == 0 ? 1 : 3, 1e-12) << "channel " << h;
  }
}

TEST(S4d, StartsAtThePolesOfItsInit) {
  for (const char* init : {"legs", "inv", "lin", "quad"}) {
    const MixerCase test_case = {"Init", "s4d", {"state=4", std::string("init=") + init}, 2};
    const Weights weights = test_case.weights(1);
    for (float re : weights.get("A_log_re", {2, 2})) EXPECT_FLOAT_EQ(std::exp(re), 0.5f) << init;
  }
  const Weights legs = MixerCase{"Legs", "s4d", {"state=4"}, 1}.weights(1);
  EXPECT_FLOAT_EQ(legs.get("A_im", {1, 2})[0], -4.60329301f);
  EXPECT_FLOAT_EQ(legs.get("A_im", {1, 2})[1], -0.55650112f);
}

TEST(S4d, DfoutPolesLieEvenlyOnACircle) {
  const MixerCase test_case = {"Dfout", "s4d", {"state=4", "init=dfout", "damping=0.2"}, 3};
  const auto mixer = test_case.make(1);
  std::vector<double> angles;
  for (int64_t h = 0; h < 3; ++h) {
    const Eigen::VectorXcd poles = mixer->system(h).A.diagonal();
    for (const std::complex<double>& a : poles) {
      EXPECT_NEAR(std::abs(a), std::exp(-0.1), 1e-6);
      angles.push_back(std::abs(std::arg(a)));
    }
  }
  std::ranges::sort(angles);
  for (size_t i = 0; i < angles.size(); ++i) {
    EXPECT_NEAR(angles[i], M_PI * static_cast<double>(i) / 6, 1e-6);
  }
}

/// y = forward half of u + backward half of the reversed u, one step late.
TEST(S4d, BidirectionalEqualsTwoCausalHalves) {
  constexpr int64_t kTime = 23;
  const MixerCase both = {"Both", "s4d", {"state=6", "bidirectional=true"}, 3};
  const MixerCase one = {"One", "s4d", {"state=6"}, 3};
  Weights weights = both.weights(5);
  const auto bidirectional = both.of().make(both.options(), 3, weights, 1);
  const auto forward = one.of().make(one.options(), 3, weights, 1);
  Tensor C(DType::kFloat32, {3, 3, 2}), D(DType::kFloat32, {3});
  std::ranges::copy(weights.get("C_back", {3, 3, 2}), C.elements<float>().begin());
  weights.put("C", std::move(C));
  weights.put("D", std::move(D));
  const auto backward = one.of().make(one.options(), 3, weights, 1);

  Trial whole(*bidirectional, 2, kTime, 1), ahead(*forward, 2, kTime, 1),
      behind(*backward, 2, kTime, 1);
  ahead.state.fill(0);
  behind.state.fill(0);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t t = 0; t < kTime; ++t) {
      for (int64_t h = 0; h < 3; ++h) {
        behind.u.view(b, t, h) = whole.u.view(b, kTime - 1 - t, h);
      }
    }
  }
  whole.prefill(*bidirectional);
  ahead.prefill(*forward);
  behind.prefill(*backward);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t t = 0; t + 1 < kTime; ++t) {
      for (int64_t h = 0; h < 3; ++h) {
        ahead.y.view(b, t, h) += behind.y.view(b, kTime - 2 - t, h);
      }
    }
  }
  EXPECT_TRUE(close("y", *forward, kTime, ahead.y.values, whole.y.values));
}

TEST(S4d, RejectsOptionsThatContradict) {
  const auto table = [](const std::string& setting) {
    return MixerCase{"Bad", "s4d", {setting}, 3}.table();
  };
  EXPECT_THROW(table("state=7"), ConfigError);
  EXPECT_THROW(table("copies=2"), ConfigError);
  EXPECT_THROW(table("dt_min=0.5"), ConfigError);
  EXPECT_THROW(table("init=lim"), ConfigError);
  EXPECT_THROW((MixerCase{"Bad", "s4d", {"init=inv", "B_init=hippo"}, 3}.table()), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
