// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

namespace longwave::theory {

template <typename Scalar>
using MatrixOf = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

/// X with A X = B, for double and std::complex<double>.
///
/// Eigen's decompositions take long to compile; here they are compiled once for the whole room.
///
/// Source     Gaussian elimination with partial pivoting, as Eigen implements it.
/// Cost       about n^3 / 3 + n^2 columns(B) multiply-adds.
template <typename Scalar>
MatrixOf<Scalar> solve(const MatrixOf<Scalar>& A, const MatrixOf<Scalar>& B);

/// M = U diag(values) V^T, values descending, with only as many columns as the smaller extent of M.
struct SingularForm {
  Eigen::MatrixXd U;
  Eigen::VectorXd values;
  Eigen::MatrixXd V;
};

/// Source     one-sided Jacobi rotations, which keep the relative accuracy of small values.
SingularForm singular_form(const Eigen::MatrixXd& M);

/// The values alone, descending.
Eigen::VectorXd singular_values(const Eigen::MatrixXd& M);

}  // namespace longwave::theory
