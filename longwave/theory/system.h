// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

namespace longwave::theory {

/// A continuous-time linear system in double precision: the common language of this room.
///
///   x'(t) = A x(t) + B u(t),   y(t) = Re(C x(t)) + D u(t)
///
/// Shapes     A (n, n), B (n, inputs), C (outputs, n), D (outputs, inputs).
struct ContinuousSystem {
  Eigen::MatrixXcd A, B, C;
  Eigen::MatrixXd D;
};

/// A discrete-time linear system in double precision: what every time-invariant layer is.
///
///   x[k] = A x[k-1] + B u[k],   y[k] = Re(C x[k]) + D u[k]
///
/// The output sees the input of the same step, as S4 and its successors have it. A conjugate pair
/// stored once carries its factor 2 in C.
///
/// Shapes     A (n, n), B (n, inputs), C (outputs, n), D (outputs, inputs).
struct DiscreteSystem {
  Eigen::MatrixXcd A, B, C;
  Eigen::MatrixXd D;
};

/// Checks that the four matrices fit together.
///
/// Errors     InvalidArgument that names `where`, the matrix and the shapes.
void check_shapes(const ContinuousSystem& system, const char* where);
void check_shapes(const DiscreteSystem& system, const char* where);

}  // namespace longwave::theory
