// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/discretize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/simulate.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

std::vector<Discretization> all_rules() {
  std::vector<Discretization> rules;
  for (const std::string& known : discretization_names()) rules.push_back(discretization(known));
  return rules;
}

// x' = lambda x + u for u = sin(2t) + t^2/3 and x(0) = 0, in closed form.
struct SmoothProblem {
  Complex lambda{-1.3, 4.1};

  static double input(double t) { return std::sin(2 * t) + t * t / 3; }

  Complex exact(double t) const {
    const Complex sine =
        (lambda * std::sin(2 * t) + 2.0 * std::cos(2 * t) - 2.0 * std::exp(lambda * t)) /
        -(lambda * lambda + 4.0);
    const Complex square =
        (2.0 * (std::exp(lambda * t) - 1.0) / (lambda * lambda) - 2.0 * t / lambda - t * t) /
        (3.0 * lambda);
    return sine + square;
  }
};

double diagonal_error(Discretization rule, int steps) {
  const SmoothProblem problem;
  const double dt = 2.0 / steps;
  const auto [a, gain, gain_previous] = discretize(problem.lambda, dt, rule);
  Complex x = 0;
  double worst = 0;
  for (int k = 1; k <= steps; ++k) {
    x = a * x + gain * problem.input(k * dt) + gain_previous * problem.input((k - 1) * dt);
    worst = std::max(worst, std::abs(x - problem.exact(k * dt)));
  }
  return worst;
}

// The same pole as a real two by two system, observed at both of its states.
double dense_error(Discretization rule, int steps) {
  const SmoothProblem problem;
  const double dt = 2.0 / steps;
  const double re = problem.lambda.real(), im = problem.lambda.imag();
  const ContinuousSystem continuous{MatrixXd{{re, -im}, {im, re}}, MatrixXd{{1}, {0}},
                                    MatrixXcd::Identity(2, 2), MatrixXd::Zero(2, 1)};
  const DiscreteSystem system = discretize(continuous, dt, rule);
  MatrixXd u(steps, 1);
  for (int k = 0; k < steps; ++k) u(k, 0) = problem.input((k + 1) * dt);
  // The state of a two-point rule starts with the input at t = 0, which is zero here.
  const MatrixXd y = simulate(system, u).y;
  double worst = 0;
  for (int k = 0; k < steps; ++k) {
    worst = std::max(worst, std::abs(Complex(y(k, 0), y(k, 1)) - problem.exact((k + 1) * dt)));
  }
  return worst;
}

TEST(Discretize, OrderOfAccuracyIsAsStated) {
  struct Case {
    Discretization rule;
    double order;
  };
  const Case cases[] = {{Discretization::kEuler, 1},
                        {Discretization::kBackwardEuler, 1},
                        {Discretization::kBilinear, 1},
                        {Discretization::kBilinearTwoPoint, 2},
                        {Discretization::kZeroOrderHold, 1},
                        {Discretization::kFirstOrderHold, 2},
                        {Discretization::kExponentialEuler, 1},
                        {Discretization::kExponentialTrapezoid, 2},
                        {Discretization::kAsynchronous, 1}};
  for (const auto& [rule, order] : cases) {
    EXPECT_NEAR(std::log2(diagonal_error(rule, 512) / diagonal_error(rule, 1024)), order, 0.15)
        << name(rule);
    EXPECT_NEAR(std::log2(dense_error(rule, 512) / dense_error(rule, 1024)), order, 0.15)
        << name(rule);
  }
}

TEST(Discretize, DenseEqualsDiagonalForEveryRule) {
  Random random(3);
  for (const Discretization rule : all_rules()) {
    Worst worst{std::string(name(rule))};
    for (int trial = 0; trial < 20; ++trial) {
      const Index n = 5;
      VectorXcd lambda(n);
      MatrixXcd B(n, 2);
      for (Index k = 0; k < n; ++k) {
        lambda(k) = {-std::exp(random.uniform(-6, 1)), random.uniform(-9, 9)};
        for (Index i = 0; i < 2; ++i) B(k, i) = {random.normal(), random.normal()};
      }
      const double dt = std::exp(random.uniform(-5, 0)), elapsed = random.uniform(0.1, 2);
      const MatrixXcd A = lambda.asDiagonal();
      const DenseStep dense = discretize_step(A, B, dt, rule, elapsed);
      const double magnitude = 1 + dt * elapsed * A.norm() * (1 + B.norm());
      const Tolerance bound = Tolerance::sum<double>(n + 2, magnitude);
      for (Index k = 0; k < n; ++k) {
        const auto [a, gain, gain_previous] = discretize(lambda(k), dt, rule, elapsed);
        worst.compare(k, a, dense.A(k, k), bound);
        worst.compare(k, gain * B(k, 1), dense.B(k, 1), bound);
        worst.compare(k, gain_previous * B(k, 1), dense.B_previous(k, 1), bound);
      }
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Discretize, SingularMatrixIsNoSpecialCase) {
  // Position and velocity of a mass pushed by u: [[0, 1], [0, 0]] has no inverse.
  const MatrixXcd A = MatrixXd{{0, 1}, {0, 0}};
  const MatrixXcd B = MatrixXd{{0}, {1}};
  const double dt = 0.3;
  const DenseStep held = discretize_step(A, B, dt, Discretization::kZeroOrderHold);
  EXPECT_NEAR(std::abs(held.A(0, 1) - dt), 0, 1e-15);
  EXPECT_NEAR(std::abs(held.B(0, 0) - dt * dt / 2), 0, 1e-15);
  EXPECT_NEAR(std::abs(held.B(1, 0) - dt), 0, 1e-15);
  // Under a ramp u = t the position is t^3 / 6.
  const DenseStep ramp = discretize_step(A, B, dt, Discretization::kFirstOrderHold);
  EXPECT_NEAR(std::abs(ramp.B(0, 0) * dt - dt * dt * dt / 6), 0, 1e-15);
  EXPECT_EQ(discretize(0, dt, Discretization::kZeroOrderHold).gain, dt);
}

TEST(Discretize, HoldsComposeExactly) {
  // Two steps under one held input are one step of twice the length; so for linear inputs.
  const Complex lambda(-0.7, 5);
  const double dt = 0.2, early = 1.1, middle = 0.4, late = 2 * middle - early;
  const auto held = discretize(lambda, dt, Discretization::kZeroOrderHold);
  const auto held_twice = discretize(lambda, dt, Discretization::kZeroOrderHold, 2);
  EXPECT_NEAR(std::abs(held.a * held.a - held_twice.a), 0, 1e-15);
  EXPECT_NEAR(std::abs(held.a * held.gain + held.gain - held_twice.gain), 0, 1e-15);

  const auto rising = discretize(lambda, dt, Discretization::kFirstOrderHold);
  const auto rising_twice = discretize(lambda, 2 * dt, Discretization::kFirstOrderHold);
  const Complex first = rising.gain * middle + rising.gain_previous * early;
  const Complex second = rising.a * first + rising.gain * late + rising.gain_previous * middle;
  EXPECT_NEAR(std::abs(second - rising_twice.gain * late - rising_twice.gain_previous * early), 0,
              1e-15);
}

TEST(Discretize, BilinearFamilyJoinsTheEulers) {
  const Complex lambda(-2, 7);
  for (const auto& [alpha, rule] :
       {std::pair{0.0, Discretization::kEuler}, std::pair{0.5, Discretization::kBilinear},
        std::pair{1.0, Discretization::kBackwardEuler}}) {
    EXPECT_EQ(generalised_bilinear(lambda, 0.1, alpha).a, discretize(lambda, 0.1, rule).a);
    EXPECT_EQ(generalised_bilinear(lambda, 0.1, alpha).gain, discretize(lambda, 0.1, rule).gain);
  }
  EXPECT_EQ(exponential_trapezoid(lambda, 0.1, 1).gain,
            discretize(lambda, 0.1, Discretization::kExponentialEuler).gain);
}

TEST(Discretize, DecayingModesStayStableExceptUnderEuler) {
  Random random(4);
  for (const Discretization rule : all_rules()) {
    for (int trial = 0; trial < 200; ++trial) {
      const Complex lambda(-std::exp(random.uniform(-8, 8)), random.uniform(-500, 500));
      const double size = std::abs(discretize(lambda, 0.1, rule).a);
      if (rule == Discretization::kEuler) {
        EXPECT_NEAR(size, std::abs(1.0 + 0.1 * lambda), 1e-12 * size);
      } else {
        EXPECT_LE(size, 1) << name(rule) << " " << lambda;
      }
    }
  }
}

TEST(Discretize, EventsAreWeightedWithoutTheirDistance) {
  const Complex lambda(-1.5, 3);
  const auto regular = discretize(lambda, 0.1, Discretization::kZeroOrderHold);
  const auto event = discretize(lambda, 0.1, Discretization::kAsynchronous);
  EXPECT_EQ(event.a, regular.a);
  EXPECT_EQ(event.gain, regular.gain);
  const auto late = discretize(lambda, 0.1, Discretization::kAsynchronous, 7);
  EXPECT_EQ(late.gain, event.gain);
  EXPECT_NEAR(std::abs(late.a - std::exp(0.7 * lambda)), 0, 1e-15);
  EXPECT_EQ(discretize(lambda, 0.1, Discretization::kAsynchronous, 0).a, Complex(1));
}

TEST(Discretize, IrregularStepsOfAHeldInputEqualRegularOnes) {
  const ContinuousSystem continuous{MatrixXd{{-0.2, 3}, {-3, -0.4}}, MatrixXd{{1}, {0.5}},
                                    MatrixXd{{1, -2}}, MatrixXd{{0.25}}};
  const double elapsed[] = {2, 1, 5, 3};
  const double values[] = {1, -2, 0.5, 4};
  MatrixXd coarse(4, 1), fine(11, 1);
  Index at = 0;
  for (Index k = 0; k < 4; ++k) {
    coarse(k, 0) = values[k];
    for (int repeat = 0; repeat < elapsed[k]; ++repeat) fine(at++, 0) = values[k];
  }
  const auto steps =
      discretize_irregular(continuous, 0.05, Discretization::kZeroOrderHold, elapsed);
  const Trajectory irregular = simulate(steps, coarse, VectorXcd::Zero(2));
  const Trajectory regular =
      simulate(discretize(continuous, 0.05, Discretization::kZeroOrderHold), fine);
  EXPECT_NEAR((irregular.state - regular.state).norm(), 0, 1e-14);
  EXPECT_NEAR(irregular.y(3, 0), regular.y(10, 0), 1e-14);
}

TEST(Discretize, RejectsBadArguments) {
  EXPECT_THROW((void)discretize(-1, 0, Discretization::kEuler), InvalidArgument);
  EXPECT_THROW((void)discretize(-1, NAN, Discretization::kEuler), InvalidArgument);
  EXPECT_THROW((void)discretize(-1, 1, Discretization::kEuler, -1), InvalidArgument);
  EXPECT_THROW((void)generalised_bilinear(Complex(-1), 1, 1.5), InvalidArgument);
  EXPECT_THROW((void)exponential_trapezoid(Complex(-1), 1, -0.5), InvalidArgument);
  EXPECT_THROW((void)discretize_step(MatrixXcd::Zero(2, 3), MatrixXcd::Zero(2, 1), 1,
                                     Discretization::kEuler),
               InvalidArgument);
  EXPECT_THROW((void)discretization("zho"), InvalidArgument);
  for (const std::string& known : discretization_names()) {
    EXPECT_EQ(name(discretization(known)), known);
  }
}

}  // namespace
}  // namespace longwave::theory
