// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/dplr.h"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/normal_form.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/spectrum.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

// A system with a random spectrum and readout; rank 0 is a purely diagonal one.
Dplr random_dplr(Random& random, Index half, Index rank) {
  Dplr system;
  system.Lambda.resize(half);
  for (Complex& lambda : system.Lambda) {
    const double decay = std::exp(random.uniform(-3, 0));
    lambda = {-decay, -random.uniform(0, 20)};
  }
  system.P = testing::random_complex_matrix(random, half, rank);
  system.B = testing::random_complex_matrix(random, half, 1);
  system.C = testing::random_complex_matrix(random, 1, half);
  return system;
}

Dplr from_hippo(Random& random, Hippo kind, Index n) {
  const NormalForm form = normal_form(kind, n);
  return {form.Lambda, form.P, form.B, testing::random_complex_matrix(random, 1, n / 2)};
}

double largest(const std::vector<MatrixXd>& kernel) {
  double value = 0;
  for (const MatrixXd& entry : kernel) value = std::max(value, std::abs(entry(0)));
  return value;
}

TEST(Dplr, KernelByGeneratingFunctionIsThePowersOfAbar) {
  Random random(41);
  Worst worst("kernel");
  for (const GeneratingForm form : {GeneratingForm::kTextbook, GeneratingForm::kPoleFree}) {
    for (const Index rank : {0, 1, 2, 3}) {
      for (const Index length : {1, 2, 16, 31, 32}) {
        const Dplr system = random_dplr(random, 4, rank);
        const double dt = 0.05;
        const auto expected = convolution_kernel(bilinear_system(system, dt), length);
        const Eigen::VectorXd got = dplr_kernel(system, dt, length, form);
        // The nodes come within dt |Re Lambda| of a pole, which divides the precision.
        const double nearest = dt * system.Lambda.real().cwiseAbs().minCoeff();
        const Tolerance bound =
            Tolerance::sum<double>(8 * length, (1 + largest(expected)) / nearest);
        for (Index l = 0; l < length; ++l) worst.compare(l, expected[l](0), got(l), bound);
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Dplr, HippoKernelsByGeneratingFunction) {
  Random random(42);
  for (const Hippo kind : {Hippo::kLegS, Hippo::kLegT}) {
    Dplr system = from_hippo(random, kind, 16);
    // LegT's normal part does not decay at all; a node may then meet a pole.
    if (kind == Hippo::kLegT) system.Lambda.array() -= 0.1;
    const auto expected = convolution_kernel(bilinear_system(system, 0.02), 64);
    const Eigen::VectorXd got = dplr_kernel(system, 0.02, 64, GeneratingForm::kPoleFree);
    for (Index l = 0; l < 64; ++l) {
      EXPECT_NEAR(got(l), expected[l](0), 1e-10 * largest(expected)) << name(kind) << l;
    }
  }
}

TEST(Dplr, BothFormsAgreeOnTheWholeCircle) {
  Random random(43);
  const Dplr system = random_dplr(random, 5, 2);
  VectorXcd nodes(9);
  for (Index k = 0; k < 8; ++k) nodes(k) = std::polar(1.0, -0.7 * static_cast<double>(k));
  nodes(8) = -1;
  const auto values = [&](GeneratingForm form) {
    return generating_function(system, system.C, 0.1, nodes, form);
  };
  const VectorXcd textbook = values(GeneratingForm::kTextbook);
  const VectorXcd pole_free = values(GeneratingForm::kPoleFree);
  EXPECT_LE((textbook - pole_free).norm(), 1e-12 * textbook.norm());
  // Both against the definition Ct (I - Abar w)^-1 Bbar.
  const DiscreteSystem dense = bilinear_system(system, 0.1);
  for (Index k = 0; k < 9; ++k) {
    const MatrixXcd shifted = MatrixXcd::Identity(10, 10) - nodes(k) * dense.A;
    const Complex expected = (dense.C * shifted.inverse() * dense.B).value();
    EXPECT_NEAR(std::abs(expected - pole_free(k)), 0, 1e-11 * pole_free.norm()) << k;
  }
}

TEST(Dplr, WoodburyStepEqualsTheDenseStep) {
  Random random(44);
  for (const Index rank : {0, 1, 2, 3}) {
    const Dplr system = random_dplr(random, 6, rank);
    const DiscreteSystem dense = bilinear_system(system, 0.3);
    const DplrStep step(system, 0.3);
    VectorXcd half = testing::random_complex_matrix(random, 6, 1);
    VectorXcd start(12);
    start << half, half.conjugate();
    const MatrixXd u = testing::random_matrix(random, 40, 1);
    const Trajectory expected = simulate(dense, u, start);
    for (Index k = 0; k < 40; ++k) {
      half = step.next(half, u(k, 0));
      EXPECT_NEAR(step.output(half), expected.y(k, 0), 1e-12 * (1 + expected.y.norm())) << k;
    }
    EXPECT_LE((half - expected.state.head(6)).norm(), 1e-12 * (1 + half.norm()));
    EXPECT_LE((half.conjugate() - expected.state.tail(6)).norm(), 1e-12 * (1 + half.norm()));
  }
}

TEST(Dplr, TruncatedOutputIsInvertible) {
  Random random(45);
  for (const Index length : {1, 7, 64}) {
    Dplr system = random_dplr(random, 5, 1);
    const Eigen::RowVectorXcd C = system.C;
    system.C = truncated_output(system, 0.1, length);
    EXPECT_LE((recovered_output(system, 0.1, length) - C).norm(), 1e-10 * C.norm()) << length;
  }
}

TEST(Dplr, LengthDoubles) {
  Random random(46);
  for (const Index length : {1, 3, 20}) {
    const Dplr system = random_dplr(random, 5, 2);
    Dplr cut = system;
    cut.C = truncated_output(system, 0.1, length);
    const Eigen::RowVectorXcd expected = truncated_output(system, 0.1, 2 * length);
    const Eigen::RowVectorXcd got = doubled_output(cut, 0.1, length);
    EXPECT_LE((got - expected).norm(), 1e-12 * expected.norm()) << length;
  }
}

TEST(Dplr, IsTheHippoSystemInAnotherBasis) {
  for (const Hippo kind : {Hippo::kLegS, Hippo::kLegT, Hippo::kLagT, Hippo::kFouT}) {
    const auto [A, B] = hippo_matrices(kind, 8);
    const NormalForm form = normal_form(kind, 8);
    // Read out the first HiPPO coefficient: row 0 of [V, conj V].
    const Dplr system{form.Lambda, form.P, form.B, form.V.row(0)};
    const ContinuousSystem original{A, B, MatrixXcd::Identity(1, 8), MatrixXd::Zero(1, 1)};
    const auto expected =
        convolution_kernel(discretize(original, 0.05, Discretization::kBilinear), 40);
    const auto got = convolution_kernel(bilinear_system(system, 0.05), 40);
    for (int l = 0; l < 40; ++l) {
      EXPECT_NEAR(got[l](0), expected[l](0), 1e-12) << name(kind) << l;
    }
  }
}

TEST(Dplr, IsStableWheneverTheDiagonalIs) {
  Random random(47);
  for (int trial = 0; trial < 20; ++trial) {
    const Dplr system = random_dplr(random, 8, 2);
    for (const Complex& pole : poles(dense_system(system).A)) EXPECT_LT(pole.real(), 0);
  }
}

TEST(Dplr, RejectsBadShapes) {
  Random random(48);
  Dplr system = random_dplr(random, 4, 1);
  EXPECT_THROW((void)dplr_kernel(system, 0.1, 0, GeneratingForm::kPoleFree), InvalidArgument);
  EXPECT_THROW((void)truncated_output(system, 0.1, -1), InvalidArgument);
  EXPECT_THROW(DplrStep(system, 0), InvalidArgument);
  system.B.resize(3);
  EXPECT_THROW((void)dense_system(system), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
