// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/matrix_exponential.h"

#include <unsupported/Eigen/MatrixFunctions>

#include "longwave/base/error.h"

namespace longwave::theory {

Eigen::MatrixXcd matrix_exponential(const Eigen::MatrixXcd& A) {
  require(A.rows() == A.cols(), "matrix_exponential", "the matrix must be square");
  require(A.allFinite(), "matrix_exponential", "the matrix must be finite");
  if (A.size() == 0) return A;
  return A.exp();
}

}  // namespace longwave::theory
