// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/normal_form.h"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <complex>

#include "longwave/base/error.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using Eigen::VectorXd;
using Complex = std::complex<double>;

// A double eigenvalue at the middle of the spectrum, i.e. zero: its plane is real, and any basis of
// it may have been returned. Replaces the kept vector by (p + i q) / sqrt 2, where p is the
// direction of `along` inside the plane and q its real complement.
void split_double_zero(const MatrixXcd& plane, const VectorXd& along, MatrixXcd& V) {
  const MatrixXd projector = (plane * plane.adjoint()).real();
  VectorXd p = projector * along;
  p.normalize();
  const MatrixXd rest = projector - p * p.transpose();
  Index largest = 0;
  rest.colwise().norm().maxCoeff(&largest);
  VectorXd q = rest.col(largest);
  q.normalize();
  V.col(V.cols() - 1) = (p + Complex(0, 1) * q) / std::sqrt(2.0);
}

// The factor of modulus 1 that makes `first`, or else `second`, real and positive.
Complex canonical_phase(Complex first, Complex second, double negligible) {
  const Complex entry = std::abs(first) > negligible ? first : second;
  return std::abs(entry) > negligible ? std::abs(entry) / entry : Complex(1);
}

}  // namespace

MatrixXd low_rank_term(Hippo kind, int64_t n) {
  const VectorXd norms = VectorXd::LinSpaced(n, 0.5, static_cast<double>(n) - 0.5).cwiseSqrt();
  switch (kind) {
    case Hippo::kLegS:
      return norms;
    case Hippo::kLegT: {
      MatrixXd P = MatrixXd::Zero(n, 2);
      for (Index k = 0; k < n; ++k) P(k, k % 2 == 0 ? 1 : 0) = norms(k);
      return P;
    }
    case Hippo::kLagT:
      return VectorXd::Constant(n, std::sqrt(0.5));
    case Hippo::kFouT:
      return hippo_matrices(kind, n).B;
  }
  throw InvalidArgument({"low_rank_term", "unknown kind", "", ""});
}

NormalForm normal_form(Hippo kind, int64_t n, const NormalFormOptions& options) {
  require(n >= 2 && n % 2 == 0, "normal_form", "the order must be even");
  require(options.largest_input > 0, "normal_form", "largest_input must be positive");
  const auto [A, B] = hippo_matrices(kind, n, options.tilt);
  const MatrixXd P = low_rank_term(kind, n);
  const MatrixXd normal = A + P * P.transpose();
  const double c = normal.diagonal().mean();
  const MatrixXd skew = normal - c * MatrixXd::Identity(n, n);
  const Eigen::SelfAdjointEigenSolver<MatrixXcd> solver(Complex(0, -1) * skew);
  const VectorXd& frequencies = solver.eigenvalues();

  const Index half = n / 2;
  NormalForm result;
  result.V = solver.eigenvectors().leftCols(half);
  VectorXd kept = frequencies.head(half);
  const double negligible = static_cast<double>(n) * std::numeric_limits<double>::epsilon() *
                            std::max(1.0, frequencies.cwiseAbs().maxCoeff());
  if (frequencies(half) - frequencies(half - 1) < negligible) {
    split_double_zero(solver.eigenvectors().middleCols(half - 1, 2), P.col(0), result.V);
    kept(half - 1) = 0;
  }
  const VectorXcd along_P = result.V.adjoint() * P.col(0);
  const VectorXcd along_B = result.V.adjoint() * B;
  for (Index k = 0; k < half; ++k) {
    // V^* P is to be real, so V takes the conjugate of the factor that rotates V^* P.
    result.V.col(k) *= std::conj(canonical_phase(along_P(k), along_B(k), negligible));
  }
  result.Lambda = c + Complex(0, 1) * kept.array();
  result.P = result.V.adjoint() * P;
  result.B = result.V.adjoint() * B;
  for (Complex& b : result.B) {
    if (std::abs(b) > options.largest_input) b *= options.largest_input / std::abs(b);
  }
  return result;
}

}  // namespace longwave::theory
