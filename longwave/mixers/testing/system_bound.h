// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <limits>

#include "longwave/theory/simulate.h"
#include "longwave/theory/system.h"

namespace longwave::mixers::testing {

/// What float arithmetic may do to the outputs of a system that is run from the zero state.
///
/// A step that computes x[k] = A x[k-1] + B u[k] rounds it by at most
///
///   e[k] = eps roundings (|A| |x[k-1]| + |B| |u[k]|),      rounding of A, B themselves included,
///
/// which reaches the output m steps later as |C A^m| e[k]. The bound of an output adds all of them,
/// with the largest e of the run, and the rounding of C x + D u itself. Shapes as u and y.
inline Eigen::MatrixXd output_bound(const theory::DiscreteSystem& system, const Eigen::MatrixXd& u,
                                    double roundings) {
  const double eps = std::numeric_limits<float>::epsilon() * roundings;
  const Eigen::MatrixXd A = system.A.cwiseAbs(), B = system.B.cwiseAbs(), C = system.C.cwiseAbs();
  Eigen::VectorXcd x = Eigen::VectorXcd::Zero(system.A.rows());
  Eigen::VectorXd step_error = Eigen::VectorXd::Zero(system.A.rows());
  Eigen::MatrixXd bound(u.rows(), system.C.rows());
  for (Eigen::Index k = 0; k < u.rows(); ++k) {
    const Eigen::VectorXd input = u.row(k).transpose();
    step_error = step_error.cwiseMax(A * x.cwiseAbs() + B * input.cwiseAbs());
    x = system.A * x + system.B * input;
    bound.row(k) = eps * (C * x.cwiseAbs() + system.D.cwiseAbs() * input.cwiseAbs()).transpose();
  }
  Eigen::MatrixXcd reach = system.C;
  Eigen::VectorXd total = Eigen::VectorXd::Zero(system.C.rows());
  for (Eigen::Index k = 0; k < u.rows(); ++k) {
    total += eps * (reach.cwiseAbs() * step_error);
    bound.row(k) += total.transpose();
    reach = (reach * system.A).eval();
  }
  return bound.array() + std::numeric_limits<float>::min();
}

}  // namespace longwave::mixers::testing
