// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/spectrum.h"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <cmath>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/hippo.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/testing/random_system.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

TEST(Spectrum, ModeSaysHowThePoleDecaysAndTurns) {
  const Complex lambda(-0.25, 3);
  const Mode mode = continuous_mode(lambda);
  EXPECT_NEAR(std::abs(std::exp(lambda * mode.time_constant)), std::exp(-1), 1e-15);
  EXPECT_NEAR(std::abs(std::exp(lambda * mode.half_life)), 0.5, 1e-15);
  EXPECT_NEAR(std::abs(std::exp(Complex(0, 3 / mode.frequency)) - 1.0), 0, 1e-14);

  const double dt = 0.01;
  const Mode discrete = discrete_mode(std::exp(dt * lambda));
  EXPECT_NEAR(discrete.time_constant, mode.time_constant / dt, 1e-9);
  EXPECT_NEAR(discrete.half_life, mode.half_life / dt, 1e-9);
  EXPECT_NEAR(discrete.frequency, mode.frequency * dt, 1e-15);
}

TEST(Spectrum, ModesAtTheLimits) {
  EXPECT_EQ(discrete_mode(0).time_constant, 0);
  EXPECT_TRUE(std::isinf(discrete_mode(1).time_constant));
  EXPECT_GT(discrete_mode(1).time_constant, 0);
  EXPECT_LT(discrete_mode(1.5).time_constant, 0);
  EXPECT_TRUE(std::isinf(continuous_mode({-0.0, 1}).time_constant));
  EXPECT_GT(continuous_mode({-0.0, 1}).time_constant, 0);
  EXPECT_GT(continuous_mode({0.0, 1}).half_life, 0);
}

TEST(Spectrum, PolesOfLegsAreTheNegativeIntegersSlowestFirst) {
  const HippoMatrices legs = hippo_matrices(Hippo::kLegS, 6);
  const std::vector<Mode> found =
      modes(ContinuousSystem{legs.A, legs.B, MatrixXcd::Zero(1, 6), MatrixXd::Zero(1, 1)});
  ASSERT_EQ(found.size(), 6u);
  for (int k = 0; k < 6; ++k) EXPECT_NEAR(std::abs(found[k].pole + (k + 1.0)), 0, 1e-10) << k;
}

TEST(Spectrum, GrowingModesComeFirst) {
  const MatrixXcd A = Eigen::VectorXcd{{0.5, 1.2, 0.9, 1.0}}.asDiagonal();
  const std::vector<Mode> found =
      modes(DiscreteSystem{A, MatrixXcd::Zero(4, 1), MatrixXcd::Zero(1, 4), MatrixXd::Zero(1, 1)});
  const double expected[] = {1.2, 1.0, 0.9, 0.5};
  for (int k = 0; k < 4; ++k) EXPECT_EQ(found[k].pole, Complex(expected[k])) << k;
}

TEST(Spectrum, RecurrentEqualsConvolution) {
  Random random(11);
  Worst worst("convolution");
  for (const Index time : {1, 2, 7, 31}) {
    const DiscreteSystem system =
        testing::random_system(random, {.n = 5, .inputs = 2, .outputs = 3});
    const MatrixXd u = testing::random_matrix(random, time, 2);
    const MatrixXd expected = simulate(system, u).y;
    const MatrixXd got = convolve(impulse_response(system, time), u);
    for (Index k = 0; k < time; ++k) {
      for (Index i = 0; i < 3; ++i) {
        worst.compare(k, expected(k, i), got(k, i), Tolerance::sum<double>(10 * time, 100));
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Spectrum, SampledContinuousResponseIsTheDiracKernel) {
  Random random(12);
  const ContinuousSystem continuous{MatrixXd{{-0.3, 2, 0}, {-2, -0.1, 1}, {0, 0.5, -1}},
                                    testing::random_complex_matrix(random, 3, 1),
                                    testing::random_complex_matrix(random, 1, 3),
                                    MatrixXd::Zero(1, 1)};
  const double dt = 0.1;
  const auto kernel = convolution_kernel(discretize(continuous, dt, Discretization::kDirac), 20);
  for (int l = 0; l < 20; ++l) {
    const double times[] = {l * dt};
    EXPECT_NEAR(kernel[l](0), impulse_response(continuous, times)[0](0), 1e-13) << l;
  }
}

TEST(Spectrum, FrequencyResponseIsTheTransformOfTheImpulseResponse) {
  Random random(13);
  const DiscreteSystem system =
      testing::random_system(random, {.n = 4, .inputs = 2, .outputs = 2, .largest_pole = 0.7});
  const double omegas[] = {0, 0.3, 1.7, -2.2, std::numbers::pi};
  const auto response = impulse_response(system, 400);
  const auto got = frequency_response(system, omegas);
  for (size_t i = 0; i < got.size(); ++i) {
    MatrixXcd expected = MatrixXcd::Zero(2, 2);
    for (int l = 0; l < 400; ++l) expected += response[l] * std::polar(1.0, -omegas[i] * l);
    EXPECT_NEAR((expected - got[i]).norm(), 0, 1e-11 * (1 + expected.norm())) << omegas[i];
  }
}

TEST(Spectrum, DiagonalFormIsTheDenseForm) {
  // The same modes in another basis take the dense path.
  Random random(14);
  const Eigen::VectorXcd a{{Complex(0.9, 0.2), Complex(-0.3, 0.5), Complex(0.4, -0.1)}};
  const MatrixXcd T = testing::random_complex_matrix(random, 3, 3) + 3 * MatrixXcd::Identity(3, 3);
  const MatrixXcd B = testing::random_complex_matrix(random, 3, 1);
  const MatrixXcd C = testing::random_complex_matrix(random, 1, 3);
  const DiscreteSystem diagonal{a.asDiagonal(), B, C, MatrixXd::Ones(1, 1)};
  const MatrixXcd inverse = T.inverse();
  const DiscreteSystem dense{T * diagonal.A * inverse, T * B, C * inverse, diagonal.D};
  const double omegas[] = {0.1, 1, 3};
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(std::abs(frequency_response(diagonal, omegas)[i](0) -
                         frequency_response(dense, omegas)[i](0)),
                0, 1e-12);
  }
}

TEST(Spectrum, ContinuousResponseIsTheSteadyStateUnderASine) {
  // A damped oscillator after its transient, driven by cos(omega t).
  const ContinuousSystem continuous{MatrixXd{{0, 1}, {-4, -1}}, MatrixXd{{0}, {1}},
                                    MatrixXd{{1, 0}}, MatrixXd{{0.5}}};
  const double omega = 1.3, dt = 1e-3;
  const DiscreteSystem system = discretize(continuous, dt, Discretization::kFirstOrderHold);
  const Index time = 60000;
  MatrixXd u(time, 1);
  for (Index k = 0; k < time; ++k) u(k, 0) = std::cos(omega * dt * static_cast<double>(k));
  const MatrixXd y = simulate(system, u).y;
  const double omegas[] = {omega};
  const Complex H = frequency_response(continuous, omegas)[0](0);
  const Complex by_hand = 1.0 / (4 - omega * omega + Complex(0, omega)) + 0.5;
  EXPECT_NEAR(std::abs(H - by_hand), 0, 1e-14);
  for (Index k = time - 5000; k < time; k += 97) {
    const double phase = omega * dt * static_cast<double>(k);
    // First-order hold is exact up to omega^2 dt^2 / 12.
    EXPECT_NEAR(y(k, 0), (H * std::polar(1.0, phase)).real(), 1e-6);
  }
}

TEST(Spectrum, RejectsBadArguments) {
  Random random(15);
  const DiscreteSystem system = testing::random_system(random, {});
  EXPECT_THROW((void)convolution_kernel(system, -1), InvalidArgument);
  EXPECT_THROW((void)convolve({}, MatrixXd::Zero(2, 1)), InvalidArgument);
  EXPECT_THROW((void)poles(MatrixXcd::Zero(2, 3)), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
