// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/normal_form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "longwave/base/error.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

struct Case {
  Hippo kind;
  double tilt;
};
constexpr Case kCases[] = {{Hippo::kLegS, 0},   {Hippo::kLegT, 0}, {Hippo::kLagT, 0},
                           {Hippo::kLagT, 0.3}, {Hippo::kLagT, 1}, {Hippo::kLagT, 2},
                           {Hippo::kFouT, 0}};
constexpr Index kOrders[] = {2, 4, 8, 16, 64};

MatrixXcd doubled(const MatrixXcd& half, bool side_by_side) {
  MatrixXcd result(side_by_side ? half.rows() : 2 * half.rows(),
                   side_by_side ? 2 * half.cols() : half.cols());
  if (side_by_side) {
    result << half, half.conjugate();
  } else {
    result << half, half.conjugate();
  }
  return result;
}

TEST(NormalForm, LowRankTermMakesEveryMatrixNormal) {
  for (const auto& [kind, tilt] : kCases) {
    for (const Index n : kOrders) {
      const MatrixXd A = hippo_matrices(kind, n, tilt).A;
      const MatrixXd P = low_rank_term(kind, n);
      const MatrixXd normal = A + P * P.transpose();
      const double c = normal.diagonal().mean();
      const MatrixXd symmetric = (normal + normal.transpose()) / 2 - c * MatrixXd::Identity(n, n);
      EXPECT_LE(symmetric.norm(), 1e-14 * static_cast<double>(n) * A.norm()) << name(kind) << n;
      const double expected = kind == Hippo::kLegS ? -0.5 : kind == Hippo::kLagT ? -tilt / 2 : 0;
      EXPECT_NEAR(c, expected, 1e-14 * A.norm()) << name(kind) << n;
    }
  }
}

TEST(NormalForm, DiagonalisesTheNormalPart) {
  for (const auto& [kind, tilt] : kCases) {
    for (const Index n : kOrders) {
      const auto [A, B] = hippo_matrices(kind, n, tilt);
      const NormalForm form = normal_form(kind, n, {.tilt = tilt});
      const double bound = 1e-14 * static_cast<double>(n) * A.norm();
      const MatrixXcd V = doubled(form.V, true);
      EXPECT_LE((V.adjoint() * V - MatrixXcd::Identity(n, n)).norm(), bound) << name(kind) << n;

      const MatrixXcd P = doubled(form.P, false);
      MatrixXcd expected = -P * P.adjoint();
      expected.diagonal() += doubled(form.Lambda, false);
      EXPECT_LE((V.adjoint() * A * V - expected).norm(), bound) << name(kind) << n;
      EXPECT_LE((V.adjoint() * B - doubled(form.B, false)).norm(), bound) << name(kind) << n;
    }
  }
}

TEST(NormalForm, KeepsTheLowerHalfFastestFirst) {
  for (const auto& [kind, tilt] : kCases) {
    const NormalForm form = normal_form(kind, 16, {.tilt = tilt});
    for (Index k = 0; k < 8; ++k) {
      EXPECT_LE(form.Lambda(k).imag(), 0) << name(kind) << k;
      if (k > 0) {
        EXPECT_LT(form.Lambda(k - 1).imag(), form.Lambda(k).imag()) << name(kind) << k;
      }
    }
  }
}

TEST(NormalForm, PhaseIsCanonical) {
  for (const auto& [kind, tilt] : kCases) {
    const NormalForm form = normal_form(kind, 16, {.tilt = tilt});
    for (Index k = 0; k < 8; ++k) {
      EXPECT_GT(form.P(k, 0).real(), 0) << name(kind) << k;
      EXPECT_NEAR(form.P(k, 0).imag(), 0, 1e-13) << name(kind) << k;
    }
  }
}

TEST(NormalForm, LegsGoldenNumbers) {
  struct Golden {
    Index n;
    Index first;
    VectorXd frequencies, inputs;
  };
  const Golden goldens[] = {
      {4, 0, VectorXd{{-4.60329301, -0.55650112}}, VectorXd{{2.65802, 0.96693}}},
      {8, 0, VectorXd{{-19.85741037, -5.35420852, -1.95779415, -0.42748871}},
       VectorXd{{5.15563, 1.84387, 1.17496, 0.79946}}},
      {64, 0, VectorXd{{-1303.27384298, -433.03075654, -258.15221022, -182.62041140}},
       VectorXd{{40.75184, 13.60563, 8.18905, 5.87620}}},
      {64, 28, VectorXd{{-2.62565477, -1.70296817, -0.90585941, -0.26385693}},
       VectorXd{{0.79049, 0.74101, 0.68023, 0.59451}}}};
  for (const Golden& golden : goldens) {
    const NormalForm form = normal_form(Hippo::kLegS, golden.n);
    for (Index k = 0; k < golden.frequencies.size(); ++k) {
      const Index at = golden.first + k;
      // Half a unit of the last digit that was written down.
      EXPECT_NEAR(form.Lambda(at).imag(), golden.frequencies(k), 5.1e-9) << golden.n << " " << at;
      EXPECT_NEAR(form.Lambda(at).real(), -0.5, 1e-12) << golden.n << " " << at;
      EXPECT_NEAR(form.B(at).real(), golden.inputs(k), 5.1e-6) << golden.n << " " << at;
      EXPECT_NEAR(std::abs(form.B(at) - std::sqrt(2.0) * form.P(at, 0)), 0, 1e-12);
    }
  }
}

TEST(NormalForm, FoutHasOnePairAtZeroAndUnitInputs) {
  const NormalForm form = normal_form(Hippo::kFouT, 8);
  const double pi = std::acos(-1.0);
  for (Index k = 0; k < 4; ++k) {
    const double expected = -pi * static_cast<double>(3 - k);
    EXPECT_NEAR(form.Lambda(k).imag(), expected, 1e-13);
    EXPECT_NEAR(form.Lambda(k).real(), 0, 1e-13);
    EXPECT_NEAR(form.B(k).real(), k == 3 ? std::sqrt(0.5) : 1, 1e-13);
    EXPECT_NEAR(form.B(k).imag(), 0, 1e-13);
  }
  EXPECT_EQ(form.Lambda(3).imag(), 0);
}

TEST(NormalForm, LargestInputScalesAndKeepsThePhase) {
  const NormalForm free = normal_form(Hippo::kLegT, 32);
  const NormalForm clipped = normal_form(Hippo::kLegT, 32, {.largest_input = 2});
  for (Index k = 0; k < 16; ++k) {
    EXPECT_NEAR(std::abs(clipped.B(k)), std::min(2.0, std::abs(free.B(k))), 1e-12);
    EXPECT_NEAR(std::arg(clipped.B(k) / free.B(k)), 0, 1e-12);
  }
}

TEST(NormalForm, RejectsOddOrders) {
  EXPECT_THROW((void)normal_form(Hippo::kLegS, 3), InvalidArgument);
  EXPECT_THROW((void)normal_form(Hippo::kLegS, 0), InvalidArgument);
  EXPECT_THROW((void)normal_form(Hippo::kLegS, 4, {.largest_input = 0}), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
