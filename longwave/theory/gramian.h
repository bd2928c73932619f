// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/theory/system.h"

namespace longwave::theory {

/// A factor L of the Gramian sum_k A^k B B^T (A^T)^k = L L^T, at most n columns.
///
/// Source     squared Smith iteration (Smith 1968) on factors: L <- [L, A L], A <- A A, each time
///            compressed by a QR decomposition; Penzl 1999.
/// Numerics   never forms the Gramian, whose small directions would drown in rounding: singular
///            values down to eps |L| are right.
/// Cost       about 4 n^3 log2(time constant of the slowest pole).
/// Errors     InvalidArgument if a pole has modulus 1 or more.
Eigen::MatrixXd gramian_factor(const Eigen::MatrixXd& A, const Eigen::MatrixXd& B);

/// What inputs can reach: W = A W A^T + B B^T; continuous A W + W A^T + B B^T = 0.
///
/// For the real form of the system (real_form.h). The continuous equation is taken to the discrete
/// one by a Cayley transform, which keeps the solution.
///
/// Errors     InvalidArgument if the system is not stable.
Eigen::MatrixXd controllability_gramian(const DiscreteSystem& system);
Eigen::MatrixXd controllability_gramian(const ContinuousSystem& system);

/// What outputs can see: W = A^T W A + C^T C; continuous A^T W + W A + C^T C = 0.
Eigen::MatrixXd observability_gramian(const DiscreteSystem& system);
Eigen::MatrixXd observability_gramian(const ContinuousSystem& system);

/// Square roots of the eigenvalues of the product of both Gramians, the largest first: how much
/// each balanced state matters to the input-output map. They do not depend on the basis.
///
/// Shapes     (n) of the real form.
/// Errors     InvalidArgument if the system is not stable.
Eigen::VectorXd hankel_singular_values(const DiscreteSystem& system);
Eigen::VectorXd hankel_singular_values(const ContinuousSystem& system);

}  // namespace longwave::theory
