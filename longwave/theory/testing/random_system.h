// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <complex>
#include <cstdint>

#include "longwave/base/philox.h"
#include "longwave/theory/system.h"

namespace longwave::theory::testing {

inline Eigen::MatrixXd random_matrix(Random& random, Eigen::Index rows, Eigen::Index columns) {
  Eigen::MatrixXd result(rows, columns);
  for (double& entry : result.reshaped()) entry = random.normal();
  return result;
}

inline Eigen::MatrixXcd random_complex_matrix(Random& random, Eigen::Index rows,
                                              Eigen::Index columns) {
  Eigen::MatrixXcd result(rows, columns);
  for (std::complex<double>& entry : result.reshaped()) {
    const double re = random.normal();
    entry = {re, random.normal()};
  }
  return result;
}

struct SystemExtents {
  Eigen::Index n = 4, inputs = 1, outputs = 1;
  double largest_pole = 0.95;  ///< modulus, below 1
};

/// A dense stable system with random complex poles inside the disc of radius `largest_pole`.
inline DiscreteSystem random_system(Random& random, const SystemExtents& extents) {
  const auto& [n, inputs, outputs, largest_pole] = extents;
  // A unitary similarity of an upper triangle: not normal, with known poles.
  const Eigen::MatrixXcd basis = random_complex_matrix(random, n, n);
  Eigen::MatrixXcd Q = basis;
  for (Eigen::Index k = 0; k < n; ++k) {
    for (Eigen::Index j = 0; j < k; ++j) {
      const std::complex<double> along = Q.col(j).dot(Q.col(k));
      Q.col(k) -= Q.col(j) * along;
    }
    Q.col(k).normalize();
  }
  Eigen::MatrixXcd T = 0.2 * random_complex_matrix(random, n, n);
  T.triangularView<Eigen::StrictlyLower>().setZero();
  for (Eigen::Index k = 0; k < n; ++k) {
    const double radius = largest_pole * random.uniform();
    T(k, k) = std::polar(radius, random.uniform(-3, 3));
  }
  return {Q * T * Q.adjoint(), random_complex_matrix(random, n, inputs),
          random_complex_matrix(random, outputs, n), random_matrix(random, outputs, inputs)};
}

}  // namespace longwave::theory::testing
