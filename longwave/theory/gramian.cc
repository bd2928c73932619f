// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/gramian.h"

#include <fmt/core.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"
#include "longwave/theory/real_form.h"
#include "longwave/theory/spectrum.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// A factor with the same L L^T and no more columns than rows.
MatrixXd compressed(const MatrixXd& L) {
  if (L.cols() <= L.rows()) return L;
  const Eigen::HouseholderQR<MatrixXd> qr(L.transpose());
  const MatrixXd R = qr.matrixQR().topRows(L.rows()).triangularView<Eigen::Upper>();
  return R.transpose();
}

// The discrete system with the same Gramians, (p - A)^-1 (p + A) for the p that centres the poles.
RealSystem cayley(const RealSystem& system) {
  const Index n = system.A.rows();
  double log_sum = 0;
  for (const auto& pole : poles(system.A)) {
    if (!(pole.real() < 0)) {
      throw InvalidArgument({"gramian", "the system is not stable",
                             fmt::format("a pole with real part {:.6g}", pole.real()),
                             "every pole must have a negative real part"});
    }
    log_sum += std::log(std::abs(pole));
  }
  const double p = std::exp(log_sum / static_cast<double>(std::max<Index>(n, 1)));
  const MatrixXd identity = MatrixXd::Identity(n, n);
  const MatrixXd shifted = p * identity - system.A;
  const MatrixXd C = system.C * solve<double>(shifted, identity);
  return {solve<double>(shifted, p * identity + system.A),
          std::sqrt(2 * p) * solve<double>(shifted, system.B), std::sqrt(2 * p) * C, system.D};
}

MatrixXd controllability(const RealSystem& system) {
  const MatrixXd L = gramian_factor(system.A, system.B);
  return L * L.transpose();
}

MatrixXd observability(const RealSystem& system) {
  const MatrixXd L = gramian_factor(system.A.transpose(), system.C.transpose());
  return L * L.transpose();
}

VectorXd hankel(const RealSystem& system) {
  const Index n = system.A.rows();
  if (n == 0) return {};
  const MatrixXd reached = gramian_factor(system.A, system.B);
  const MatrixXd seen = gramian_factor(system.A.transpose(), system.C.transpose());
  VectorXd values = VectorXd::Zero(n);
  const VectorXd nonzero = singular_values(seen.transpose() * reached);
  values.head(nonzero.size()) = nonzero;
  return values;
}

}  // namespace

MatrixXd gramian_factor(const MatrixXd& A, const MatrixXd& B) {
  require(A.rows() == A.cols() && B.rows() == A.rows(), "gramian",
          "A must be (n, n) and B (n, inputs)");
  require(A.allFinite() && B.allFinite(), "gramian", "the matrices must be finite");
  for (const auto& pole : poles(A)) {
    if (std::abs(pole) < 1) continue;
    throw InvalidArgument({"gramian", "the system is not stable",
                           fmt::format("a pole of modulus {:.17g}", std::abs(pole)),
                           "every pole must lie inside the unit circle"});
  }
  MatrixXd L = compressed(B);
  MatrixXd power = A;
  // The number of terms doubles with every pass, so 64 passes are more than any double can tell.
  for (int pass = 0; pass < 64; ++pass) {
    const MatrixXd later = power * L;
    if (later.norm() <= std::numeric_limits<double>::epsilon() / 4 * L.norm()) break;
    MatrixXd both(L.rows(), 2 * L.cols());
    both << L, later;
    L = compressed(both);
    power = (power * power).eval();
  }
  return L;
}

MatrixXd controllability_gramian(const DiscreteSystem& system) {
  return controllability(real_form(system));
}

MatrixXd controllability_gramian(const ContinuousSystem& system) {
  return controllability(cayley(real_form(system)));
}

MatrixXd observability_gramian(const DiscreteSystem& system) {
  return observability(real_form(system));
}

MatrixXd observability_gramian(const ContinuousSystem& system) {
  return observability(cayley(real_form(system)));
}

VectorXd hankel_singular_values(const DiscreteSystem& system) { return hankel(real_form(system)); }

VectorXd hankel_singular_values(const ContinuousSystem& system) {
  return hankel(cayley(real_form(system)));
}

}  // namespace longwave::theory
