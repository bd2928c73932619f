// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace longwave::train {
namespace {

constexpr double kRounding = 1e-12;

TEST(Schedule, WarmUpRisesInEqualStepsToThePeak) {
  const Schedule schedule{.steps = 100, .warmup = 0.1};
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_NEAR(schedule.factor(step), static_cast<double>(step + 1) / 10, kRounding);
  }
  EXPECT_NEAR(schedule.factor(10), 1.0, kRounding);
}

TEST(Schedule, CosineFallsMonotonicallyToItsEnd) {
  for (const double end : {0.0, 0.1}) {
    const Schedule schedule{.steps = 1000, .warmup = 0.05, .end = end};
    for (int64_t step = 51; step < 1000; ++step) {
      EXPECT_LT(schedule.factor(step), schedule.factor(step - 1)) << "step " << step;
    }
    EXPECT_NEAR(schedule.factor(1000), end, kRounding);
    EXPECT_NEAR(schedule.factor(5000), end, kRounding);
  }
}

TEST(Schedule, HalfWayTheCosineIsHalfWay) {
  const Schedule schedule{.steps = 200, .warmup = 0, .end = 0.2};
  EXPECT_NEAR(schedule.factor(100), 0.6, kRounding);
}

TEST(Schedule, ConstantStaysAtThePeak) {
  const Schedule schedule{.shape = Schedule::Shape::kConstant, .steps = 20, .warmup = 0.25};
  EXPECT_NEAR(schedule.factor(0), 0.2, kRounding);
  for (int64_t step = 5; step < 40; ++step) EXPECT_EQ(schedule.factor(step), 1.0);
}

TEST(Schedule, OneStepIsTrainedAtThePeak) {
  const Schedule schedule{.steps = 1, .warmup = 0.05};
  EXPECT_EQ(schedule.factor(0), 1.0);
}

}  // namespace
}  // namespace longwave::train
