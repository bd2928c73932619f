// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/testing/laws.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/testing/allocation_count.h"
#include "longwave/mixers/testing/system_bound.h"

namespace longwave::mixers::testing {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MixerLaws);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CausalMixerLaws);

TEST_P(CausalMixerLaws, StepEqualsPrefill) {
  for (int64_t time : kLengths) {
    SCOPED_TRACE(::testing::Message() << "time " << time);
    Trial all(*mixer_, kBatch, time, kSeed), each(*mixer_, kBatch, time, kSeed);
    all.prefill(*mixer_);
    each.steps(*mixer_);
    EXPECT_TRUE(close("y", *mixer_, time, all.y.values, each.y.values));
    EXPECT_TRUE(close("state", *mixer_, time, all.state.values, each.state.values));
  }
}

TEST_P(CausalMixerLaws, SplitInvariance) {
  constexpr int64_t kTime = 61;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Trial whole(*mixer_, kBatch, kTime, seed), parts(*mixer_, kBatch, kTime, seed);
    whole.prefill(*mixer_);
    Random random(seed);
    int64_t begin = 0;
    while (begin < kTime) {
      const int64_t count = std::min(random.integer(seed < 4 ? 40 : 4), kTime - begin);
      parts.prefill(*mixer_, begin, count);
      begin += count;
    }
    EXPECT_TRUE(close("y", *mixer_, kTime, whole.y.values, parts.y.values));
    EXPECT_TRUE(close("state", *mixer_, kTime, whole.state.values, parts.state.values));
  }
}

TEST_P(MixerLaws, NoStepsLeaveTheStateAsItIs) {
  Trial run(*mixer_, kBatch, 0, kSeed);
  const std::vector<float> before = run.state.values;
  run.prefill(*mixer_);
  EXPECT_EQ(before, run.state.values);
}

TEST_P(MixerLaws, PrefillEqualsSystem) {
  for (int64_t time : kLengths) {
    Trial run(*mixer_, 1, time, kSeed);
    run.state.fill(0);
    run.prefill(*mixer_);
    for (int64_t index = 0; index < mixer_->system_count(); ++index) {
      const theory::DiscreteSystem system = mixer_->system(index);
      const int64_t inputs = system.B.cols(), first = inputs == 1 ? index : 0;
      Eigen::MatrixXd u(time, inputs);
      for (int64_t t = 0; t < time; ++t) {
        for (int64_t i = 0; i < inputs; ++i) u(t, i) = run.u.view(0, t, first + i);
      }
      const Eigen::MatrixXd y = theory::simulate(system, u).y;
      // A product of complex numbers and the sums over modes and inputs.
      const double roundings =
          GetParam().intermediate * (4.0 + std::sqrt(system.A.rows() + inputs));
      const Eigen::MatrixXd bound = output_bound(system, u, roundings);
      Worst worst("y of system " + std::to_string(index));
      for (int64_t t = 0; t < time; ++t) {
        for (int64_t o = 0; o < y.cols(); ++o) {
          worst.compare(t, y(t, o), run.y.view(0, t, first + o), {bound(t, o)});
        }
      }
      EXPECT_TRUE(time == 0 || worst.ok());
    }
  }
}

TEST_P(CausalMixerLaws, Causality) {
  constexpr int64_t kTime = 41, kChanged = 17;
  Trial before(*mixer_, kBatch, kTime, kSeed), after(*mixer_, kBatch, kTime, kSeed);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t t = kChanged; t < kTime; ++t) after.u.view(b, t, 0) += 3;
  }
  before.prefill(*mixer_);
  after.prefill(*mixer_);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t t = 0; t < kChanged; ++t) {
      for (int64_t i = 0; i < mixer_->channels(); ++i) {
        ASSERT_EQ(before.y.view(b, t, i), after.y.view(b, t, i)) << "step " << t;
      }
    }
  }
  EXPECT_NE(before.y.view(0, kTime - 1, 0), after.y.view(0, kTime - 1, 0));
}

TEST_P(MixerLaws, BatchInvariance) {
  constexpr int64_t kTime = 33;
  Trial all(*mixer_, kBatch, kTime, kSeed), alone(*mixer_, 1, kTime, 0);
  std::ranges::copy_n(all.u.values.begin(), alone.u.values.size(), alone.u.values.begin());
  std::ranges::copy_n(all.state.values.begin(), alone.state.values.size(),
                      alone.state.values.begin());
  all.prefill(*mixer_);
  alone.prefill(*mixer_);
  all.y.values.resize(alone.y.values.size());
  all.state.values.resize(alone.state.values.size());
  EXPECT_TRUE(close("y", *mixer_, kTime, all.y.values, alone.y.values));
  EXPECT_TRUE(close("state", *mixer_, kTime, all.state.values, alone.state.values));
}

TEST_P(MixerLaws, AnyStridesAreAccepted) {
  constexpr int64_t kTime = 13;
  const int64_t channels = mixer_->channels(), row = mixer_->state_size() + 1;
  Trial dense(*mixer_, kBatch, kTime, kSeed);
  // u and y lie (channel, time, batch); state rows are an odd number of floats apart.
  Numbers<3> u({channels, kTime, kBatch}), y({channels, kTime, kBatch});
  Numbers<2> state({kBatch, row});
  const auto turned = [&](const View<float, 3>& view) {
    return View<float, 3>(view.data(), {kBatch, kTime, channels}, {1, kBatch, kTime * kBatch});
  };
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t t = 0; t < kTime; ++t) {
      for (int64_t i = 0; i < channels; ++i) turned(u.view)(b, t, i) = dense.u.view(b, t, i);
    }
    for (int64_t i = 0; i + 1 < row; ++i) state.view(b, i) = dense.state.view(b, i);
  }
  dense.prefill(*mixer_);
  Workspace workspace(mixer_->workspace_bytes(kBatch, kTime));
  mixer_->prefill(
      {.u = turned(u.view), .state = state.view.slice(1, 0, row - 1), .y = turned(y.view)},
      workspace);
  std::vector<float> y_got, state_got;
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t t = 0; t < kTime; ++t) {
      for (int64_t i = 0; i < channels; ++i) y_got.push_back(turned(y.view)(b, t, i));
    }
    for (int64_t i = 0; i + 1 < row; ++i) state_got.push_back(state.view(b, i));
  }
  EXPECT_TRUE(close("y", *mixer_, kTime, dense.y.values, y_got));
  EXPECT_TRUE(close("state", *mixer_, kTime, dense.state.values, state_got));
}

/// Sequences that begin at steps 0, 5, 6 and 20, or, in other rows of the batch, only at some.
static std::vector<uint8_t> some_starts(int64_t batch, int64_t time) {
  std::vector<uint8_t> starts(batch * time, 0);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t : {0, 5, 6, 20}) {
      if (t < time && (b == 0 || (b + t) % 2 == 0)) starts[b * time + t] = 1;
    }
  }
  return starts;
}

TEST_P(MixerLaws, PackedEqualsSeparate) {
  constexpr int64_t kTime = 33;
  Trial packed(*mixer_, kBatch, kTime, kSeed), separate(*mixer_, kBatch, kTime, kSeed);
  const std::vector<uint8_t> starts = some_starts(kBatch, kTime);
  Workspace workspace(mixer_->workspace_bytes(kBatch, kTime));
  const auto prefill = [&] {
    mixer_->prefill({.u = packed.u.view,
                     .state = packed.state.view,
                     .y = packed.y.view,
                     .starts = {starts.data(), {kBatch, kTime}}},
                    workspace);
  };
  if (!mixer_->packs()) {
    EXPECT_THROW(prefill(), InvalidArgument);
    return;
  }
  prefill();
  for (int64_t b = 0; b < kBatch; ++b) {
    const View<float, 2> state = separate.state.view.slice(0, b, 1);
    for (int64_t begin = 0, end = 0; begin < kTime; begin = end) {
      do ++end;
      while (end < kTime && starts[b * kTime + end] == 0);
      if (starts[b * kTime + begin] != 0) std::fill_n(state.data(), mixer_->state_size(), 0.0f);
      mixer_->prefill({.u = separate.u.view.slice(0, b, 1).slice(1, begin, end - begin),
                       .state = state,
                       .y = separate.y.view.slice(0, b, 1).slice(1, begin, end - begin)},
                      workspace);
    }
  }
  EXPECT_TRUE(close("y", *mixer_, kTime, separate.y.values, packed.y.values));
  EXPECT_TRUE(close("state", *mixer_, kTime, separate.state.values, packed.state.values));
}

TEST_P(CausalMixerLaws, StateRoundTrip) {
  Trial run(*mixer_, kBatch, 9, kSeed);
  run.prefill(*mixer_);
  const std::vector<float> saved = run.state.values;
  run.steps(*mixer_);
  const std::vector<float> y = run.y.values, state = run.state.values;
  run.state.values = saved;
  run.state.view = {run.state.values.data(), run.state.view.extents()};
  run.steps(*mixer_);
  EXPECT_EQ(y, run.y.values);
  EXPECT_EQ(state, run.state.values);
}

TEST_P(CausalMixerLaws, NoAllocationInStep) {
  Trial run(*mixer_, 1, 4, kSeed);
  Workspace workspace(mixer_->workspace_bytes(1, 1));
  mixer_->step(run.step_args(0), workspace);
  const int64_t before = longwave::testing::allocation_count();
  for (int64_t t = 1; t < 4; ++t) mixer_->step(run.step_args(t), workspace);
  EXPECT_EQ(longwave::testing::allocation_count(), before);
}

TEST_P(MixerLaws, SameBitsForAnyNumberOfThreads) {
  constexpr int64_t kTime = 300;
  const int threads = thread_count();
  std::vector<float> results[2];
  for (const int count : {1, 2}) {
    Trial trial(*mixer_, kBatch, kTime, kSeed);
    set_thread_count(count);
    trial.prefill(*mixer_);
    set_thread_count(threads);
    results[count - 1] = trial.y.values;
    results[count - 1].insert(results[count - 1].end(), trial.state.values.begin(),
                              trial.state.values.end());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_P(MixerLaws, RejectsBadShapes) {
  Trial run(*mixer_, kBatch, 4, kSeed);
  Workspace workspace(mixer_->workspace_bytes(kBatch, 4));
  const Mixer::Prefill good = {.u = run.u.view, .state = run.state.view, .y = run.y.view};
  Numbers<2> state({kBatch, mixer_->state_size() + 1});
  for (int operand = 0; operand < 3; ++operand) {
    Mixer::Prefill bad = good;
    if (operand == 0) bad.u = good.u.slice(1, 0, 3);
    if (operand == 1) bad.state = state.view;
    if (operand == 2) bad.y = good.y.slice(0, 0, 1);
    EXPECT_THROW(mixer_->prefill(bad, workspace), InvalidArgument) << "operand " << operand;
  }
  EXPECT_THROW(mixer_->system(mixer_->system_count()), InvalidArgument);
  EXPECT_THROW(mixer_->system(-1), InvalidArgument);
}

TEST_P(MixerLaws, OnlyCausalMixersStep) {
  Trial run(*mixer_, kBatch, 1, kSeed);
  Workspace workspace(mixer_->workspace_bytes(kBatch, 1));
  if (mixer_->causal()) {
    EXPECT_NO_THROW(mixer_->step(run.step_args(0), workspace));
  } else {
    EXPECT_THROW(mixer_->step(run.step_args(0), workspace), InvalidArgument);
  }
}

void expect_zoh_rate_identity(const MixerCase& test_case, int64_t rate, int64_t length) {
  const auto fast = test_case.make(1), slow = test_case.make(1, static_cast<double>(rate));
  ASSERT_GT(fast->system_count(), 0);
  for (int64_t index = 0; index < fast->system_count(); ++index) {
    const theory::DiscreteSystem one = fast->system(index), many = slow->system(index);
    Eigen::MatrixXcd x = one.B, x_many = many.B;
    for (int64_t l = 0; l < length; ++l) {
      Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(one.C.rows(), one.B.cols());
      for (int64_t j = 0; j < rate; ++j) {
        sum += (one.C * x).real();
        x = (one.A * x).eval();
      }
      const Eigen::MatrixXd scale = one.C.cwiseAbs() * one.B.cwiseAbs();
      const double bound =
          Tolerance::sum<double>((l + 1) * rate * one.A.rows(), rate * scale.maxCoeff()).bound;
      EXPECT_LE((sum - (many.C * x_many).real()).cwiseAbs().maxCoeff(), bound)
          << "system " << index << ", step " << l;
      x_many = (many.A * x_many).eval();
    }
  }
}

}  // namespace longwave::mixers::testing
