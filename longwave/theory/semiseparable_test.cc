// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/semiseparable.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXcd;

// Real diagonal steps with decays, inputs and outputs of their own at every time.
std::vector<DiscreteSystem> selective_steps(Random& random, Index time, Index n) {
  std::vector<DiscreteSystem> steps;
  for (Index t = 0; t < time; ++t) {
    Eigen::VectorXcd a(n);
    for (auto& entry : a) entry = random.uniform(0.3, 1);
    steps.push_back({a.asDiagonal(), testing::random_matrix(random, n, 1),
                     testing::random_matrix(random, 1, n), testing::random_matrix(random, 1, 1)});
  }
  return steps;
}

TEST(Semiseparable, MatrixTimesInputIsTheSimulation) {
  Random random(51);
  for (const Index time : {0, 1, 2, 13}) {
    const std::vector<DiscreteSystem> steps = selective_steps(random, time, 3);
    const MatrixXd u = testing::random_matrix(random, time, 1);
    const MatrixXd expected = simulate(steps, u, VectorXcd::Zero(3)).y;
    if (time == 0) {
      EXPECT_EQ(sequence_matrix(steps).size(), 0);
    } else {
      EXPECT_LE((sequence_matrix(steps) * u - expected).norm(), 1e-13 * (1 + expected.norm()));
    }
  }
}

TEST(Semiseparable, BlocksHaveTheRankOfTheState) {
  Random random(52);
  for (const Index n : {1, 2, 4}) {
    std::vector<DiscreteSystem> steps = selective_steps(random, 20, n);
    for (DiscreteSystem& step : steps) step.D.setZero();
    EXPECT_EQ(semiseparable_rank(sequence_matrix(steps), 1e-12), n);
  }
  // One complex mode seen through its real part is two real states.
  const DiscreteSystem complex_mode = testing::random_system(random, {.n = 1});
  std::vector<DiscreteSystem> steps(20, complex_mode);
  for (DiscreteSystem& step : steps) step.D.setZero();
  EXPECT_EQ(semiseparable_rank(sequence_matrix(steps), 1e-12), 2);
}

TEST(Semiseparable, InvariantSystemGivesAToeplitzMatrix) {
  Random random(53);
  const std::vector<DiscreteSystem> steps(9, testing::random_system(random, {}));
  const MatrixXd M = sequence_matrix(steps);
  for (Index i = 1; i < 9; ++i) {
    for (Index j = 1; j <= i; ++j) EXPECT_EQ(M(i, j), M(i - 1, j - 1));
  }
}

TEST(Semiseparable, ScalarDecayIsMaskedAttention) {
  // M = L . (C B^T): the duality of Mamba-2.
  Random random(54);
  const Index time = 12, n = 3;
  std::vector<double> log_a(time);
  std::vector<DiscreteSystem> steps;
  MatrixXd B(time, n), C(time, n);
  for (Index t = 0; t < time; ++t) {
    log_a[t] = -random.uniform();
    B.row(t) = testing::random_matrix(random, 1, n);
    C.row(t) = testing::random_matrix(random, 1, n);
    const Eigen::MatrixXcd A = std::exp(log_a[t]) * Eigen::MatrixXcd::Identity(n, n);
    steps.push_back({A, B.row(t).transpose(), C.row(t), MatrixXd::Zero(1, 1)});
  }
  const MatrixXd attention = decay_matrix(log_a).cwiseProduct(C * B.transpose());
  EXPECT_LE((sequence_matrix(steps) - attention).norm(), 1e-13 * attention.norm());
}

TEST(Semiseparable, RejectsBadShapes) {
  Random random(55);
  const std::vector<DiscreteSystem> two(2, testing::random_system(random, {.inputs = 2}));
  EXPECT_THROW((void)sequence_matrix(two), InvalidArgument);
  EXPECT_THROW((void)semiseparable_rank(MatrixXd::Zero(2, 3), 0.1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
