// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/decompositions.h"

#include <Eigen/LU>
#include <Eigen/SVD>
#include <complex>

namespace longwave::theory {

using Eigen::MatrixXcd;
using Eigen::MatrixXd;

template <typename Scalar>
MatrixOf<Scalar> solve(const MatrixOf<Scalar>& A, const MatrixOf<Scalar>& B) {
  return A.partialPivLu().solve(B);
}

template MatrixXd solve<double>(const MatrixXd& A, const MatrixXd& B);
template MatrixXcd solve<std::complex<double>>(const MatrixXcd& A, const MatrixXcd& B);

SingularForm singular_form(const MatrixXd& M) {
  const Eigen::JacobiSVD<MatrixXd> svd(M, Eigen::ComputeThinU | Eigen::ComputeThinV);
  return {svd.matrixU(), svd.singularValues(), svd.matrixV()};
}

Eigen::VectorXd singular_values(const MatrixXd& M) {
  return Eigen::JacobiSVD<MatrixXd>(M).singularValues();
}

}  // namespace longwave::theory
