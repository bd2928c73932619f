// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/hippo.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/matrix_exponential.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

constexpr Discretization kMemoryRules[] = {Discretization::kEuler, Discretization::kBackwardEuler,
                                           Discretization::kBilinear,
                                           Discretization::kZeroOrderHold};

// The projection of a staircase on sqrt(2n + 1) P_n(2x - 1), from the antiderivative
// (P_{n+1} - P_{n-1}) / (2 (2n + 1)) of P_n(2x - 1).
VectorXd staircase_projection(Index n, const std::vector<double>& samples) {
  const auto antiderivative = [&](double x) {
    const VectorXd P = legendre(n + 1, 2 * x - 1);
    VectorXd value(n);
    for (Index k = 0; k < n; ++k) {
      const double before = k == 0 ? -1 : P(k - 1);
      value(k) = (P(k + 1) - before) / (2 * std::sqrt(2.0 * static_cast<double>(k) + 1));
    }
    return value;
  };
  const auto length = static_cast<double>(samples.size());
  VectorXd c = VectorXd::Zero(n);
  for (size_t k = 0; k < samples.size(); ++k) {
    const auto start = static_cast<double>(k);
    c += samples[k] * (antiderivative((start + 1) / length) - antiderivative(start / length));
  }
  return c;
}

TEST(Hippo, LegsImpulseResponseIsAnalytic) {
  Worst worst("e^(tA) B of LegS");
  for (const Index n : {1, 2, 5, 16, 31}) {
    const auto [A, B] = hippo_matrices(Hippo::kLegS, n);
    for (const double t : {0.0, 0.01, 0.3, 1.0, 2.5}) {
      const VectorXd expected = legs_impulse_response(n, t);
      const VectorXd got = (matrix_exponential(t * A) * B).real();
      const Tolerance bound = Tolerance::sum<double>(n, 1 + t * A.norm() * B.norm());
      for (Index k = 0; k < n; ++k) worst.compare(k, expected(k), got(k), bound);
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Hippo, SmallMatricesAreThoseOfThePapers) {
  const double s3 = std::sqrt(3.0), s5 = std::sqrt(5.0), s15 = std::sqrt(15.0);
  const auto near = [](const MatrixXd& expected, const MatrixXd& got) {
    return (expected - got).norm() <= 1e-14 * expected.norm();
  };
  const HippoMatrices legs = hippo_matrices(Hippo::kLegS, 3);
  EXPECT_TRUE(near(MatrixXd{{-1, 0, 0}, {-s3, -2, 0}, {-s5, -s15, -3}}, legs.A));
  EXPECT_TRUE(near(VectorXd{{1, s3, s5}}, legs.B));

  const HippoMatrices legt = hippo_matrices(Hippo::kLegT, 3);
  EXPECT_TRUE(near(-0.5 * MatrixXd{{1, -s3, s5}, {s3, 3, -s15}, {s5, s15, 5}}, legt.A));
  EXPECT_TRUE(near(0.5 * VectorXd{{1, s3, s5}}, legt.B));

  const HippoMatrices lagt = hippo_matrices(Hippo::kLagT, 2, 0.5);
  EXPECT_TRUE(near(MatrixXd{{-0.75, 0}, {-1, -0.75}}, lagt.A));
  EXPECT_TRUE(near(VectorXd{{1, 1}}, lagt.B));

  const double s2 = std::sqrt(2.0), pi = std::acos(-1.0);
  const HippoMatrices fout = hippo_matrices(Hippo::kFouT, 4);
  EXPECT_TRUE(
      near(MatrixXd{{-1, 0, -s2, 0}, {0, 0, 0, 0}, {-s2, 0, -2, -pi}, {0, 0, pi, 0}}, fout.A));
  EXPECT_TRUE(near(VectorXd{{1, 0, s2, 0}}, fout.B));
}

TEST(LegsMemory, ZeroOrderHoldIsTheExactProjection) {
  Random random(2);
  Worst worst("coefficients of a staircase");
  for (const Index n : {1, 2, 7, 16}) {
    for (const int length : {1, 2, 3, 50, 127}) {
      std::vector<double> samples(length);
      for (double& sample : samples) sample = random.normal();
      const VectorXd expected = staircase_projection(n, samples);
      const VectorXd got = legs_memory(n, samples, Discretization::kZeroOrderHold);
      const double norm = hippo_matrices(Hippo::kLegS, n).A.norm();
      const Tolerance bound = Tolerance::sum<double>(length * n, 4 * norm);
      for (Index k = 0; k < n; ++k) worst.compare(k, expected(k), got(k), bound);
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LegsMemory, ConstantPastIsOneCoefficientUnderEveryRule) {
  const std::vector<double> samples(40, 3.0);
  for (const Discretization rule : kMemoryRules) {
    const VectorXd c = legs_memory(8, samples, rule);
    EXPECT_NEAR((c - VectorXd::Unit(8, 0) * 3).norm(), 0, 1e-12) << name(rule);
  }
}

TEST(LegsMemory, EveryRuleConvergesToTheProjection) {
  // A polynomial of degree 3 lies in the span of 6 functions, so its projection reproduces it.
  const auto f = [](double x) { return 1 + x * (2 - x * (5 - 3 * x)); };
  const auto error = [&](int length, Discretization rule) {
    std::vector<double> samples(length);
    for (int k = 0; k < length; ++k) samples[k] = f((k + 1.0) / length);
    const VectorXd c = legs_memory(6, samples, rule);
    double worst = 0;
    for (double x = 0; x <= 1; x += 0.125) {
      worst = std::max(worst, std::abs(legs_reconstruct(c, x) - f(x)));
    }
    return worst;
  };
  for (const Discretization rule : kMemoryRules) {
    const double coarse = error(512, rule), fine = error(1024, rule);
    EXPECT_LT(fine, 0.05) << name(rule);
    EXPECT_GE(std::log2(coarse / fine), 0.85) << name(rule);
  }
}

TEST(LegsMemory, RejectsWhatItCannotDo) {
  const HippoMatrices legs = hippo_matrices(Hippo::kLegS, 4);
  EXPECT_THROW(
      (void)legs_memory_step(legs, VectorXd::Zero(4), 1, 1, Discretization::kFirstOrderHold),
      InvalidArgument);
  EXPECT_THROW((void)legs_memory_step(legs, VectorXd::Zero(3), 1, 1, Discretization::kEuler),
               InvalidArgument);
  EXPECT_THROW((void)legs_memory_step(legs, VectorXd::Zero(4), 1, -1, Discretization::kEuler),
               InvalidArgument);
}

TEST(Hippo, RejectsBadShapesAndNames) {
  EXPECT_THROW((void)hippo_matrices(Hippo::kLegS, 0), InvalidArgument);
  EXPECT_THROW((void)hippo_matrices(Hippo::kFouT, 3), InvalidArgument);
  EXPECT_THROW((void)hippo("leggs"), InvalidArgument);
  for (const std::string& known : hippo_names()) EXPECT_EQ(name(hippo(known)), known);
}

}  // namespace
}  // namespace longwave::theory
