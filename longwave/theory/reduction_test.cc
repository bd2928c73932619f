// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/reduction.h"

#include <gtest/gtest.h>

#include <Eigen/SVD>
#include <cmath>
#include <numbers>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/theory/diagonal_init.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/spectrum.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;

// The largest gain of the difference of two systems over a grid of frequencies.
double largest_difference(const DiscreteSystem& first, const DiscreteSystem& second) {
  std::vector<double> omegas;
  for (int i = 0; i <= 100; ++i) omegas.push_back(std::numbers::pi * i / 100);
  const auto one = frequency_response(first, omegas), other = frequency_response(second, omegas);
  double largest = 0;
  for (size_t i = 0; i < omegas.size(); ++i) {
    const MatrixXcd difference = one[i] - other[i];
    largest = std::max(largest, Eigen::JacobiSVD<MatrixXcd>(difference).singularValues()(0));
  }
  return largest;
}

// An S4D layer's channel at its initialisation, random readout.
DiscreteSystem diagonal_layer(Random& random, Index modes) {
  const DiagonalPoles start = diagonal_poles(DiagonalInit::kLin, modes);
  const ContinuousSystem system{start.Lambda.asDiagonal(), start.B,
                                testing::random_complex_matrix(random, 1, modes),
                                MatrixXd::Ones(1, 1)};
  return discretize(system, 0.05, Discretization::kZeroOrderHold);
}

TEST(Reduction, ErrorObeysTheBoundAtEveryOrder) {
  Random random(31);
  const DiscreteSystem systems[] = {
      testing::random_system(random, {.n = 6, .inputs = 2, .outputs = 3}),
      testing::random_system(random, {.n = 9, .largest_pole = 0.99}), diagonal_layer(random, 10)};
  for (const DiscreteSystem& system : systems) {
    const Index n = 2 * system.A.rows();
    for (Index order = 0; order <= n; ++order) {
      const Reduction reduced = balanced_truncation(system, order);
      ASSERT_LE(reduced.system.A.rows(), order);
      const double rounding = 1e-10 * reduced.hankel_singular_values(0);
      EXPECT_LE(largest_difference(system, reduced.system), reduced.error_bound + rounding)
          << "order " << order << " of " << n;
      for (const auto& pole : poles(reduced.system.A)) EXPECT_LT(std::abs(pole), 1) << order;
    }
  }
}

TEST(Reduction, FullOrderChangesNothing) {
  Random random(32);
  const DiscreteSystem system = testing::random_system(random, {.n = 4});
  const Reduction reduced = balanced_truncation(system, 8);
  const MatrixXd u = testing::random_matrix(random, 50, 1);
  const MatrixXd expected = simulate(system, u).y;
  EXPECT_LE((simulate(reduced.system, u).y - expected).norm(), 1e-10 * expected.norm());
}

TEST(Reduction, BoundHoldsForOutputsInTime) {
  Random random(33);
  const DiscreteSystem system = diagonal_layer(random, 32);
  const Reduction reduced = balanced_truncation(system, 12);
  const MatrixXd u = testing::random_matrix(random, 300, 1);
  const MatrixXd difference = simulate(system, u).y - simulate(reduced.system, u).y;
  EXPECT_LE(difference.norm(), reduced.error_bound * u.norm());
}

TEST(Reduction, DropsStatesThatDoNothing) {
  // Two copies of a mode, and a mode that no input reaches: two real states are enough.
  const std::complex<double> a(0.8, 0.3);
  const DiscreteSystem system{Eigen::VectorXcd{{a, a, 0.9}}.asDiagonal(), MatrixXd{{1}, {1}, {0}},
                              MatrixXd{{1, 2, 5}}, MatrixXd{{0}}};
  const Reduction reduced = balanced_truncation(system, 6);
  EXPECT_EQ(reduced.system.A.rows(), 2);
  EXPECT_LE(largest_difference(system, reduced.system), 1e-12);
}

TEST(Reduction, RejectsBadArguments) {
  Random random(34);
  const DiscreteSystem system = testing::random_system(random, {});
  EXPECT_THROW((void)balanced_truncation(system, -1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
