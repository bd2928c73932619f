// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s5/s5.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numeric>

#include "longwave/mixers/testing/laws.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "s5", {"state=8"}, 3},
    {"OneMode", "s5", {"state=2"}, 1},
    {"Blocks", "s5", {"state=24", "blocks=3", "C_init=lecun_normal"}, 17},
    {"Full", "s5", {"state=6", "conj_sym=false", "C_init=complex_normal"}, 5},
    {"Bilinear", "s5", {"state=64", "discretization=bilinear"}, 40},
    {"Bidirectional", "s5", {"state=6", "bidirectional=true"}, 5},
};
INSTANTIATE_TEST_SUITE_P(S5, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S5, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(S5, RateObeysTheZeroOrderHoldIdentity) {
  for (int64_t rate : {2, 3}) expect_zoh_rate_identity({"Zoh", "s5", {"state=8"}, 3}, rate, 30);
}

TEST(S5, StartsAtTheEigenvaluesOfHippoBlocks) {
  const Weights half = MixerCase{"Half", "s5", {"state=8", "blocks=2"}, 1}.weights(1);
  const auto im = half.get("Lambda_im", {4});
  for (size_t n = 0; n < 4; ++n) {
    EXPECT_FLOAT_EQ(im[n], n % 2 == 0 ? -4.60329301f : -0.55650112f);
  }
  const Weights full = MixerCase{"Full", "s5", {"state=4", "conj_sym=false"}, 1}.weights(1);
  const auto all = full.get("Lambda_im", {4});
  EXPECT_NEAR(std::accumulate(all.begin(), all.end(), 0.0), 0, 1e-6);
}

/// The input map starts as V^* of a real one: a row and its conjugate are halves of a unitary
/// rotation, so the sum of squares is that of the real matrix, `channels` on average.
TEST(S5, InputMapKeepsTheNormOfARealOne) {
  const Weights weights = MixerCase{"B", "s5", {"state=64"}, 50}.weights(1);
  double squares = 0;
  for (float value : weights.get("B", {32, 50, 2})) squares += 2.0 * value * value;
  EXPECT_NEAR(squares / 50, 1, 0.1);
}

/// y[t] = Re(C f[t]) + Re(C_back g[t]) + D u[t], both halves seeing the present.
TEST(S5, BidirectionalEqualsTwoCausalHalves) {
  constexpr int64_t kTime = 700, kChannels = 3;
  const MixerCase both = {"Both", "s5", {"state=6", "bidirectional=true"}, kChannels};
  const MixerCase one = {"One", "s5", {"state=6"}, kChannels};
  Weights weights = both.weights(5);
  const auto bidirectional = both.of().make(both.options(), kChannels, weights, 1);
  const auto forward = one.of().make(one.options(), kChannels, weights, 1);
  Tensor C(DType::kFloat32, {3, 3, 2});
  std::ranges::copy(weights.get("C_back", {3, 3, 2}), C.elements<float>().begin());
  weights.put("C", std::move(C));
  weights.put("D", Tensor(DType::kFloat32, {3}));
  const auto backward = one.of().make(one.options(), kChannels, weights, 1);

  Trial whole(*bidirectional, 2, kTime, 1), ahead(*forward, 2, kTime, 1);
  Trial behind(*backward, 2, kTime, 1);
  ahead.state.fill(0);
  behind.state.fill(0);
  const auto turn = [&](const View<float, 3>& to, const View<float, 3>& from, auto combine) {
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t t = 0; t < kTime; ++t) {
        for (int64_t i = 0; i < kChannels; ++i) combine(to(b, t, i), from(b, kTime - 1 - t, i));
      }
    }
  };
  turn(behind.u.view, whole.u.view, [](float& to, float from) { to = from; });
  whole.prefill(*bidirectional);
  ahead.prefill(*forward);
  behind.prefill(*backward);
  turn(ahead.y.view, behind.y.view, [](float& to, float from) { to += from; });
  EXPECT_TRUE(close("y", *forward, kTime, ahead.y.values, whole.y.values));
}

TEST(S5, RejectsOptionsThatContradict) {
  const auto table = [](std::vector<std::string> settings) {
    return MixerCase{"Bad", "s5", std::move(settings), 3}.table();
  };
  EXPECT_THROW(table({"state=8", "blocks=3"}), ConfigError);
  EXPECT_THROW(table({"state=6", "blocks=2"}), ConfigError);
  EXPECT_THROW(table({"dt_min=0.5"}), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
