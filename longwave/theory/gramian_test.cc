// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/gramian.h"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <algorithm>
#include <functional>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/hippo.h"
#include "longwave/theory/real_form.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// A HiPPO system read out by its own input vector. FouT's second state, the sine of frequency zero,
// never moves and is left out: it would be a pole at zero.
ContinuousSystem moving_hippo(Hippo kind, Index n) {
  const auto [A, B] = hippo_matrices(kind, n);
  std::vector<Index> kept;
  for (Index k = 0; k < n; ++k) {
    if (kind != Hippo::kFouT || k != 1) kept.push_back(k);
  }
  const MatrixXd moving = B(kept, Eigen::all);
  return {A(kept, kept), moving, moving.transpose(), MatrixXd::Zero(1, 1)};
}

TEST(RealForm, KeepsTheInputOutputMap) {
  Random random(21);
  const DiscreteSystem system = testing::random_system(random, {.n = 3, .inputs = 2, .outputs = 2});
  const RealSystem real = real_form(system);
  ASSERT_EQ(real.A.rows(), 6);
  const MatrixXd u = testing::random_matrix(random, 25, 2);
  const MatrixXd expected = simulate(system, u).y;
  const MatrixXd got = simulate(DiscreteSystem{real.A, real.B, real.C, real.D}, u).y;
  EXPECT_LE((expected - got).norm(), 1e-13 * expected.norm());
  EXPECT_EQ(real_form(DiscreteSystem{real.A, real.B, real.C, real.D}).A.rows(), 6);
}

TEST(Gramian, SolvesTheSteinEquations) {
  Random random(22);
  for (const Index n : {1, 2, 5, 9}) {
    const DiscreteSystem system =
        testing::random_system(random, {.n = n, .inputs = 2, .outputs = 3, .largest_pole = 0.99});
    const auto [A, B, C, D] = real_form(system);
    const MatrixXd reach = controllability_gramian(system);
    const MatrixXd see = observability_gramian(system);
    EXPECT_LE((A * reach * A.transpose() + B * B.transpose() - reach).norm(), 1e-12 * reach.norm());
    EXPECT_LE((A.transpose() * see * A + C.transpose() * C - see).norm(), 1e-12 * see.norm());
  }
}

TEST(Gramian, SolvesTheLyapunovEquations) {
  for (const Hippo kind : {Hippo::kLegS, Hippo::kLegT, Hippo::kLagT, Hippo::kFouT}) {
    const ContinuousSystem system = moving_hippo(kind, 8);
    const auto [A, B, C, D] = real_form(system);
    const MatrixXd reach = controllability_gramian(system);
    const MatrixXd see = observability_gramian(system);
    const double size = A.norm();
    EXPECT_LE((A * reach + reach * A.transpose() + B * B.transpose()).norm(),
              1e-12 * size * reach.norm())
        << name(kind);
    EXPECT_LE((A.transpose() * see + see * A + C.transpose() * C).norm(), 1e-12 * size * see.norm())
        << name(kind);
  }
}

TEST(Gramian, LaguerreAndFourierStatesAreOrthogonalUnderWhiteNoise) {
  // A + A^T = -B B^T for LagT and -2 B B^T for FouT, so the Gramians are I and I/2.
  const MatrixXd laguerre = controllability_gramian(moving_hippo(Hippo::kLagT, 10));
  EXPECT_NEAR((laguerre - MatrixXd::Identity(10, 10)).norm(), 0, 1e-12);
  const MatrixXd fourier = controllability_gramian(moving_hippo(Hippo::kFouT, 10));
  EXPECT_NEAR((fourier - 0.5 * MatrixXd::Identity(9, 9)).norm(), 0, 1e-12);
}

TEST(Gramian, HankelSingularValuesDoNotDependOnTheBasis) {
  Random random(23);
  const DiscreteSystem system = testing::random_system(random, {.n = 5});
  const MatrixXcd T = testing::random_complex_matrix(random, 5, 5) + 4 * MatrixXcd::Identity(5, 5);
  const MatrixXcd inverse = T.inverse();
  const DiscreteSystem other{T * system.A * inverse, T * system.B, system.C * inverse, system.D};
  const VectorXd first = hankel_singular_values(system), second = hankel_singular_values(other);
  ASSERT_EQ(first.size(), 10);
  EXPECT_LE((first - second).norm(), 1e-11 * first(0));
}

TEST(Gramian, HankelSingularValuesAreThoseOfTheHankelMatrix) {
  // y[future] as a function of u[past]: the matrix of K_{i+j} itself, long enough to have decayed.
  Random random(24);
  const DiscreteSystem system = testing::random_system(random, {.n = 3, .largest_pole = 0.6});
  const Index length = 120;
  MatrixXd hankel(length, length);
  MatrixXcd power_B = system.B;
  for (Index lag = 0; lag < 2 * length - 1; ++lag) {
    const double value = (system.C * power_B).real().value();
    for (Index i = std::max<Index>(0, lag - length + 1); i <= std::min(lag, length - 1); ++i) {
      hankel(i, lag - i) = value;
    }
    power_B = (system.A * power_B).eval();
  }
  // The matrix is symmetric: its singular values are the sizes of its eigenvalues.
  VectorXd expected = Eigen::SelfAdjointEigenSolver<MatrixXd>(hankel).eigenvalues().cwiseAbs();
  std::sort(expected.begin(), expected.end(), std::greater<>());
  expected.conservativeResize(6);
  EXPECT_LE((expected - hankel_singular_values(system)).norm(), 1e-11 * expected(0));
}

TEST(Gramian, SamplingFinelyKeepsTheContinuousValues) {
  const ContinuousSystem system = moving_hippo(Hippo::kLegT, 6);
  const VectorXd expected = hankel_singular_values(system);
  const double dt = 1e-4;
  const VectorXd got =
      hankel_singular_values(discretize(system, dt, Discretization::kZeroOrderHold));
  EXPECT_LE((expected - got).norm(), 1e-2 * expected(0));
}

TEST(Gramian, RejectsUnstableSystems) {
  const DiscreteSystem growing{MatrixXcd::Constant(1, 1, 1.0), MatrixXcd::Ones(1, 1),
                               MatrixXcd::Ones(1, 1), MatrixXd::Zero(1, 1)};
  EXPECT_THROW((void)controllability_gramian(growing), InvalidArgument);
  EXPECT_THROW((void)hankel_singular_values(growing), InvalidArgument);
  const ContinuousSystem still{MatrixXcd::Zero(1, 1), MatrixXcd::Ones(1, 1), MatrixXcd::Ones(1, 1),
                               MatrixXd::Zero(1, 1)};
  EXPECT_THROW((void)observability_gramian(still), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
