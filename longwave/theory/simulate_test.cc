// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/simulate.h"

#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

TEST(Simulate, EqualsTheSumOfPowers) {
  Random random(5);
  Worst worst("output");
  for (const Index time : {0, 1, 2, 13}) {
    const DiscreteSystem system =
        testing::random_system(random, {.n = 4, .inputs = 2, .outputs = 3});
    const MatrixXd u = testing::random_matrix(random, time, 2);
    const VectorXcd start = testing::random_complex_matrix(random, 4, 1);
    const Trajectory got = simulate(system, u, start);
    ASSERT_EQ(got.y.rows(), time);
    ASSERT_EQ(got.y.cols(), 3);
    for (Index k = 0; k < time; ++k) {
      MatrixXcd power = MatrixXcd::Identity(4, 4);
      Eigen::VectorXd expected = system.D * u.row(k).transpose();
      for (Index lag = 0; lag <= k; ++lag) {
        expected += (system.C * power * system.B).real() * u.row(k - lag).transpose();
        power = (system.A * power).eval();
      }
      expected += (system.C * power * start).real();
      for (Index i = 0; i < 3; ++i) {
        worst.compare(k, expected(i), got.y(k, i), Tolerance::sum<double>(4 * (k + 1), 100));
      }
    }
    if (time == 0) {
      EXPECT_EQ(got.state, start);
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Simulate, SplitInvariance) {
  Random random(6);
  const DiscreteSystem system = testing::random_system(random, {.n = 6, .inputs = 1, .outputs = 1});
  const MatrixXd u = testing::random_matrix(random, 17, 1);
  const VectorXcd start = testing::random_complex_matrix(random, 6, 1);
  const Trajectory whole = simulate(system, u, start);
  for (Index split = 0; split <= 17; ++split) {
    const Trajectory first = simulate(system, u.topRows(split), start);
    const Trajectory second = simulate(system, u.bottomRows(17 - split), first.state);
    EXPECT_EQ(whole.y.topRows(split), first.y) << split;
    EXPECT_EQ(whole.y.bottomRows(17 - split), second.y) << split;
    EXPECT_EQ(whole.state, second.state) << split;
  }
}

TEST(Simulate, EqualStepsAreTheInvariantSystem) {
  Random random(7);
  const DiscreteSystem system = testing::random_system(random, {.n = 3, .inputs = 2, .outputs = 2});
  const MatrixXd u = testing::random_matrix(random, 9, 2);
  const VectorXcd start = testing::random_complex_matrix(random, 3, 1);
  const std::vector<DiscreteSystem> steps(9, system);
  EXPECT_EQ(simulate(steps, u, start).y, simulate(system, u, start).y);
  EXPECT_EQ(simulate(steps, u, start).state, simulate(system, u, start).state);
}

TEST(Simulate, RejectsBadShapes) {
  Random random(8);
  DiscreteSystem system = testing::random_system(random, {.n = 3, .inputs = 2, .outputs = 1});
  EXPECT_THROW((void)simulate(system, MatrixXd::Zero(4, 1)), InvalidArgument);
  EXPECT_THROW((void)simulate(system, MatrixXd::Zero(4, 2), VectorXcd::Zero(2)), InvalidArgument);
  const std::vector<DiscreteSystem> steps(3, system);
  EXPECT_THROW((void)simulate(steps, MatrixXd::Zero(4, 2), VectorXcd::Zero(3)), InvalidArgument);
  system.D.resize(2, 2);
  EXPECT_THROW((void)simulate(system, MatrixXd::Zero(4, 2)), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
