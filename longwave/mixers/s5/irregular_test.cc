// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/mixers/s5/s5.h"
#include "longwave/mixers/testing/mixer_case.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/simulate.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCase = {"Irregular", "s5", {"state=8", "dt_max=0.5"}, 3};
constexpr int64_t kModes = 4, kChannels = 3;
constexpr uint64_t kSeed = 6;

std::unique_ptr<s5::S5> make() {
  return s5::make_s5(kCase.options(), kChannels, kCase.weights(kSeed), 1);
}

Numbers<2> random_intervals(int64_t batch, int64_t time) {
  Numbers<2> intervals({batch, time});
  intervals.randomise(3);
  for (float& value : intervals.values) value = std::exp2(2 * value);
  return intervals;
}

void prefill_irregular(const s5::S5& layer, Trial& trial, View<const float, 2> intervals) {
  Workspace workspace(layer.irregular_workspace_bytes(trial.u.view.extent(0), intervals.extent(1)));
  layer.prefill_irregular(
      {.u = trial.u.view, .intervals = intervals, .state = trial.state.view, .y = trial.y.view},
      workspace);
}

/// The continuous system from the weights, with the steps of the modes multiplied in.
theory::ContinuousSystem continuous() {
  const Weights weights = kCase.weights(kSeed);
  const auto re = weights.view<1>("Lambda_re", {kModes}),
             im = weights.view<1>("Lambda_im", {kModes});
  const auto log_step = weights.view<1>("log_step", {kModes});
  const auto B = weights.view<3>("B", {kModes, kChannels, 2});
  const auto C = weights.view<3>("C", {kChannels, kModes, 2});
  const auto D = weights.view<1>("D", {kChannels});
  theory::ContinuousSystem system = {
      Eigen::MatrixXcd::Zero(kModes, kModes), Eigen::MatrixXcd(kModes, kChannels),
      Eigen::MatrixXcd(kChannels, kModes), Eigen::MatrixXd::Zero(kChannels, kChannels)};
  for (int64_t n = 0; n < kModes; ++n) {
    const double dt = std::exp(static_cast<double>(log_step(n)));
    system.A(n, n) = dt * std::complex<double>(re(n), im(n));
    for (int64_t i = 0; i < kChannels; ++i) {
      system.B(n, i) = dt * std::complex<double>(B(n, i, 0), B(n, i, 1));
      system.C(i, n) = 2.0 * std::complex<double>(C(i, n, 0), C(i, n, 1));
      system.D(i, i) = D(i);
    }
  }
  return system;
}

TEST(S5Irregular, EqualsTheSystemDiscretisedAnewForEveryInterval) {
  constexpr int64_t kTime = 90;
  const auto layer = make();
  const Numbers<2> intervals = random_intervals(1, kTime);
  Trial trial(*layer, 1, kTime, kSeed);
  Eigen::VectorXcd state(kModes);
  for (int64_t n = 0; n < kModes; ++n) {
    state[n] = {trial.state.view(0, 2 * n), trial.state.view(0, 2 * n + 1)};
  }
  Eigen::MatrixXd u(kTime, kChannels);
  for (int64_t t = 0; t < kTime; ++t) {
    for (int64_t i = 0; i < kChannels; ++i) u(t, i) = trial.u.view(0, t, i);
  }
  const std::vector<double> elapsed(intervals.values.begin(), intervals.values.end());
  const auto steps = theory::discretize_irregular(continuous(), 1,
                                                  theory::Discretization::kZeroOrderHold, elapsed);
  const Eigen::MatrixXd y = theory::simulate(steps, u, state).y;
  prefill_irregular(*layer, trial, intervals.view);
  std::vector<float> expected;
  for (int64_t t = 0; t < kTime; ++t) {
    for (int64_t i = 0; i < kChannels; ++i) expected.push_back(static_cast<float>(y(t, i)));
  }
  EXPECT_TRUE(close("y", *layer, kTime, expected, trial.y.values));
}

TEST(S5Irregular, RegularIntervalsGivePrefill) {
  constexpr int64_t kTime = 45;
  const auto layer = make();
  Trial regular(*layer, 3, kTime, kSeed), irregular(*layer, 3, kTime, kSeed);
  Numbers<2> intervals({3, kTime});
  regular.prefill(*layer);
  prefill_irregular(*layer, irregular, intervals.fill(1).view);
  EXPECT_TRUE(close("y", *layer, kTime, regular.y.values, irregular.y.values));
  EXPECT_TRUE(close("state", *layer, kTime, regular.state.values, irregular.state.values));
}

TEST(S5Irregular, AnIntervalOfTwoIsTwoStepsWithTheInputHeld) {
  constexpr int64_t kTime = 20;
  const auto layer = make();
  Trial held(*layer, 1, 2 * kTime, kSeed), twice(*layer, 1, kTime, kSeed);
  for (int64_t t = 0; t < 2 * kTime; ++t) {
    for (int64_t i = 0; i < kChannels; ++i) held.u.view(0, t, i) = twice.u.view(0, t / 2, i);
  }
  Numbers<2> intervals({1, kTime});
  held.prefill(*layer);
  prefill_irregular(*layer, twice, intervals.fill(2).view);
  EXPECT_TRUE(close("state", *layer, 2 * kTime, held.state.values, twice.state.values));
}

TEST(S5Irregular, RejectsWhatCannotBeTime) {
  const auto layer = make();
  Trial trial(*layer, 1, 4, kSeed);
  Numbers<2> intervals({1, 4}), short_ones({1, 3});
  intervals.fill(1).view(0, 2) = 0;
  EXPECT_THROW(prefill_irregular(*layer, trial, intervals.view), InvalidArgument);
  EXPECT_THROW(prefill_irregular(*layer, trial, short_ones.fill(1).view), InvalidArgument);
}

}  // namespace
}  // namespace longwave::mixers::testing
