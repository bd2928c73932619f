// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

namespace longwave::theory {

/// e^A of a square matrix.
///
/// Source     Higham 2005, "The scaling and squaring method for the matrix exponential revisited"
///            (Pade approximants of degree 3 to 13), as Eigen implements it.
/// Cost       about (10 + 2 log2 |A|) n^3 multiply-adds.
/// Errors     InvalidArgument if A is not square or not finite.
Eigen::MatrixXcd matrix_exponential(const Eigen::MatrixXcd& A);

}  // namespace longwave::theory
