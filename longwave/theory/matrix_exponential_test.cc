// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/matrix_exponential.h"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <complex>

#include "longwave/base/error.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;

TEST(MatrixExponential, DiagonalMatricesAreExponentiatedEntryByEntry) {
  const Eigen::VectorXcd poles{{{-0.5, 3}, {-20, 0}, {0, 0}, {-1e-9, 40}}};
  const MatrixXcd got = matrix_exponential(poles.asDiagonal());
  const MatrixXcd expected = poles.array().exp().matrix().asDiagonal();
  // Scaling and squaring loses about |A| eps.
  EXPECT_LE((got - expected).norm(), 1e-16 * 10 * 45);
}

TEST(MatrixExponential, NilpotentMatricesEndTheirSeries) {
  const MatrixXcd A = MatrixXd{{0, 2, 5}, {0, 0, -3}, {0, 0, 0}};
  const MatrixXcd expected = MatrixXcd::Identity(3, 3) + A + A * A / 2;
  EXPECT_LE((matrix_exponential(A) - expected).norm(), 1e-15 * expected.norm());
}

TEST(MatrixExponential, IsAGroupOverTime) {
  Random random(71);
  for (const Index n : {1, 2, 7}) {
    const MatrixXcd A = testing::random_complex_matrix(random, n, n);
    const MatrixXcd whole = matrix_exponential(1.5 * A);
    const MatrixXcd parts = matrix_exponential(0.4 * A) * matrix_exponential(1.1 * A);
    EXPECT_LE((whole - parts).norm(), 1e-14 * whole.norm() * (1 + A.norm())) << n;
    const MatrixXcd back = whole * matrix_exponential(-1.5 * A);
    EXPECT_LE((back - MatrixXcd::Identity(n, n)).norm(),
              1e-15 * whole.norm() * matrix_exponential(-1.5 * A).norm() * (1 + A.norm()))
        << n;
  }
}

TEST(MatrixExponential, AcceptsNothingAndRejectsNonsense) {
  EXPECT_EQ(matrix_exponential(MatrixXcd(0, 0)).size(), 0);
  EXPECT_THROW((void)matrix_exponential(MatrixXcd::Zero(2, 3)), InvalidArgument);
  EXPECT_THROW((void)matrix_exponential(MatrixXcd::Constant(2, 2, NAN)), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
