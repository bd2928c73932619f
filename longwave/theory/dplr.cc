// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/dplr.h"

#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"
#include "longwave/theory/discretize.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::RowVectorXcd;
using Eigen::VectorXcd;

void check(const Dplr& system) {
  const Index half = system.Lambda.size();
  require(system.P.rows() == half && system.B.size() == half && system.C.size() == half, "dplr",
          "Lambda, P, B and C must have the same number of modes");
}

MatrixXcd stacked(const MatrixXcd& half) {
  MatrixXcd both(2 * half.rows(), half.cols());
  both << half, half.conjugate();
  return both;
}

RowVectorXcd side_by_side(const RowVectorXcd& half) {
  RowVectorXcd both(2 * half.size());
  both << half, half.conjugate();
  return both;
}

// Coordinates (Re x, Im x) of the half: a quarter of the arithmetic of the doubled space, where
// half of all numbers are conjugates of the others.
MatrixXd split(const MatrixXcd& half) {
  MatrixXd both(2 * half.rows(), half.cols());
  both << half.real(), half.imag();
  return both;
}

// C as a row over these coordinates: y = 2 Re(C x).
Eigen::RowVectorXd real_row(const RowVectorXcd& C) {
  Eigen::RowVectorXd row(2 * C.size());
  row << 2 * C.real(), -2 * C.imag();
  return row;
}

RowVectorXcd half_row(const Eigen::RowVectorXd& row) {
  const Index half = row.size() / 2;
  return (row.head(half).cast<Complex>() - Complex(0, 1) * row.tail(half).cast<Complex>()) / 2.0;
}

// Abar^length over the real coordinates, by repeated squaring.
MatrixXd transition_power(const Dplr& system, double dt, int64_t length) {
  check(system);
  require(length >= 0, "dplr", "length must not be negative");
  const Index half = system.Lambda.size();
  const MatrixXd P = split(system.P);
  const MatrixXd identity = MatrixXd::Identity(2 * half, 2 * half);
  MatrixXd A = -2 * P * P.transpose();
  A.topLeftCorner(half, half).diagonal() += system.Lambda.real();
  A.topRightCorner(half, half).diagonal() -= system.Lambda.imag();
  A.bottomLeftCorner(half, half).diagonal() += system.Lambda.imag();
  A.bottomRightCorner(half, half).diagonal() += system.Lambda.real();
  if (length == 0) return identity;

  MatrixXd power = solve<double>(identity - dt / 2 * A, identity + dt / 2 * A);
  const MatrixXd once = power;
  for (int bit = std::bit_width(static_cast<uint64_t>(length)) - 2; bit >= 0; --bit) {
    power = (power * power).eval();
    if ((length >> bit & 1) == 1) power = (power * once).eval();
  }
  return power;
}

// The generating function at one node, from the resolvent `R` on the doubled space (the vector
// dt / (z - dt Lambda) or its pole-free form), the factor of the low-rank term and of the whole.
struct Resolvent {
  VectorXcd R;
  Complex low_rank, whole;
};

Resolvent resolvent_at(const VectorXcd& Lambda, double dt, Complex w, GeneratingForm form) {
  if (form == GeneratingForm::kPoleFree) {
    return {dt / (2.0 * (1.0 - w) - dt * (1.0 + w) * Lambda.array()), 1.0 + w, 2};
  }
  if (std::abs(1.0 + w) < 4 * std::numeric_limits<double>::epsilon()) {
    // z is infinite: 2 dt / ((1 + w) z) tends to dt / 2 and the low-rank term vanishes.
    return {VectorXcd::Ones(Lambda.size()), 0, dt / 2};
  }
  const Complex z = 2.0 * (1.0 - w) / (1.0 + w);
  return {dt / (z - dt * Lambda.array()), 1, 2.0 / (1.0 + w)};
}

}  // namespace

ContinuousSystem dense_system(const Dplr& system) {
  check(system);
  const MatrixXcd P = stacked(system.P);
  MatrixXcd A = -P * P.adjoint();
  A.diagonal() += stacked(system.Lambda);
  return {A, stacked(system.B), side_by_side(system.C), MatrixXd::Zero(1, 1)};
}

DiscreteSystem bilinear_system(const Dplr& system, double dt) {
  return discretize(dense_system(system), dt, Discretization::kBilinear);
}

DplrStep::DplrStep(const Dplr& system, double dt) : system_(system), dt_(dt) {
  check(system);
  require(dt > 0, "dplr", "dt must be positive");
  E_ = (2 / dt - system.Lambda.array()).inverse();
  // On the doubled space a sum over both halves is twice the real part of the sum over one.
  const MatrixXd inner = 2 * (system.P.adjoint() * E_.asDiagonal() * system.P).real();
  const MatrixXd identity = MatrixXd::Identity(inner.rows(), inner.cols());
  correction_ = solve<double>(identity + inner, identity);
}

VectorXcd DplrStep::next(const VectorXcd& x, double u) const {
  const auto& [Lambda, P, B, C] = system_;
  const Eigen::VectorXd Px = 2 * (P.adjoint() * x).real();
  const VectorXcd v = (2 / dt_ + Lambda.array()).matrix().cwiseProduct(x) - P * Px + 2 * u * B;
  const VectorXcd Ev = E_.cwiseProduct(v);
  const Eigen::VectorXd PEv = 2 * (P.adjoint() * Ev).real();
  return Ev - E_.cwiseProduct(P * (correction_ * PEv));
}

double DplrStep::output(const VectorXcd& x) const { return 2 * (system_.C * x).real().value(); }

RowVectorXcd truncated_output(const Dplr& system, double dt, int64_t length) {
  const Eigen::RowVectorXd C = real_row(system.C);
  return half_row(C - C * transition_power(system, dt, length));
}

RowVectorXcd recovered_output(const Dplr& system, double dt, int64_t length) {
  const MatrixXd power = transition_power(system, dt, length);
  const MatrixXd rest = MatrixXd::Identity(power.rows(), power.cols()) - power;
  return half_row(solve<double>(rest.transpose(), real_row(system.C).transpose()).transpose());
}

RowVectorXcd doubled_output(const Dplr& system, double dt, int64_t length) {
  const Eigen::RowVectorXd Ct = real_row(system.C);
  return half_row(Ct + Ct * transition_power(system, dt, length));
}

VectorXcd generating_function(const Dplr& system, const RowVectorXcd& Ct, double dt,
                              const VectorXcd& nodes, GeneratingForm form) {
  check(system);
  require(Ct.size() == system.Lambda.size(), "dplr", "Ct must have as many modes as Lambda");
  const VectorXcd Lambda = stacked(system.Lambda);
  const MatrixXcd P = stacked(system.P);
  const MatrixXcd B = stacked(system.B);
  const RowVectorXcd C = side_by_side(Ct);
  const MatrixXcd identity = MatrixXcd::Identity(P.cols(), P.cols());
  VectorXcd values(nodes.size());
  for (Index k = 0; k < nodes.size(); ++k) {
    const auto [R, low_rank, whole] = resolvent_at(Lambda, dt, nodes(k), form);
    const Complex k00 = (C * R.asDiagonal() * B).value();
    const RowVectorXcd k01 = C * R.asDiagonal() * P;
    const VectorXcd k10 = P.adjoint() * R.asDiagonal() * B;
    const MatrixXcd k11 = P.adjoint() * R.asDiagonal() * P;
    const VectorXcd inner = solve<Complex>(identity + low_rank * k11, k10);
    values(k) = whole * (k00 - low_rank * (k01 * inner).value());
  }
  return values;
}

Eigen::VectorXd dplr_kernel(const Dplr& system, double dt, int64_t length, GeneratingForm form) {
  require(length >= 1, "dplr", "length must be at least 1");
  VectorXcd nodes(length);
  for (Index k = 0; k < length; ++k) {
    nodes(k) = std::polar(
        1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
  }
  const VectorXcd values =
      generating_function(system, truncated_output(system, dt, length), dt, nodes, form);
  Eigen::VectorXd kernel(length);
  for (Index l = 0; l < length; ++l) {
    Complex sum = 0;
    for (Index k = 0; k < length; ++k) sum += values(k) * std::conj(nodes(k * l % length));
    kernel(l) = sum.real() / static_cast<double>(length);
  }
  return kernel;
}

}  // namespace longwave::theory
