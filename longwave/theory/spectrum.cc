// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/spectrum.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"
#include "longwave/theory/matrix_exponential.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;

bool is_diagonal(const MatrixXcd& A) {
  const MatrixXcd diagonal = A.diagonal().asDiagonal();
  return A == diagonal;
}

// C (s I - r A)^-1 B.
MatrixXcd resolvent(const MatrixXcd& A, const MatrixXcd& B, const MatrixXcd& C, Complex s,
                    Complex r) {
  if (is_diagonal(A)) return C * (s - r * A.diagonal().array()).inverse().matrix().asDiagonal() * B;
  return C * solve<Complex>(s * MatrixXcd::Identity(A.rows(), A.cols()) - r * A, B);
}

template <typename System, typename ModeOf>
std::vector<Mode> slowest_first(const System& system, const ModeOf& mode_of) {
  check_shapes(system, "modes");
  std::vector<Mode> result;
  for (const Complex& pole : poles(system.A)) result.push_back(mode_of(pole));
  // A growing mode has a negative time constant and must still come before every decaying one.
  const auto decay = [](const Mode& mode) { return 1 / mode.time_constant; };
  std::stable_sort(result.begin(), result.end(), [&](const Mode& first, const Mode& second) {
    return decay(first) < decay(second);
  });
  return result;
}

}  // namespace

Mode discrete_mode(Complex a) {
  const double time_constant = 1 / (0 - std::log(std::abs(a)));
  return {a, time_constant, std::numbers::ln2 * time_constant,
          std::arg(a) / (2 * std::numbers::pi)};
}

Mode continuous_mode(Complex lambda) {
  // 0 - x turns a real part of zero, of either sign, into infinite time.
  const double time_constant = 1 / (0 - lambda.real());
  return {lambda, time_constant, std::numbers::ln2 * time_constant,
          lambda.imag() / (2 * std::numbers::pi)};
}

Eigen::VectorXcd poles(const MatrixXcd& A) {
  require(A.rows() == A.cols(), "poles", "A must be square");
  if (is_diagonal(A)) return A.diagonal();
  constexpr bool kWithVectors = false;
  return Eigen::ComplexEigenSolver<MatrixXcd>(A, kWithVectors).eigenvalues();
}

std::vector<Mode> modes(const DiscreteSystem& system) {
  return slowest_first(system, discrete_mode);
}

std::vector<Mode> modes(const ContinuousSystem& system) {
  return slowest_first(system, continuous_mode);
}

std::vector<MatrixXd> convolution_kernel(const DiscreteSystem& system, int64_t length) {
  check_shapes(system, "convolution_kernel");
  require(length >= 0, "convolution_kernel", "length must not be negative");
  std::vector<MatrixXd> kernel;
  MatrixXcd power_B = system.B;
  for (int64_t l = 0; l < length; ++l) {
    kernel.push_back((system.C * power_B).real());
    power_B = (system.A * power_B).eval();
  }
  return kernel;
}

std::vector<MatrixXd> impulse_response(const DiscreteSystem& system, int64_t length) {
  std::vector<MatrixXd> response = convolution_kernel(system, length);
  if (!response.empty()) response.front() += system.D;
  return response;
}

std::vector<MatrixXd> impulse_response(const ContinuousSystem& system,
                                       std::span<const double> times) {
  check_shapes(system, "impulse_response");
  std::vector<MatrixXd> response;
  for (const double t : times) {
    response.push_back((system.C * matrix_exponential(t * system.A) * system.B).real());
  }
  return response;
}

MatrixXd convolve(std::span<const MatrixXd> kernel, const MatrixXd& u) {
  require(!kernel.empty(), "convolve", "the kernel must not be empty");
  MatrixXd y = MatrixXd::Zero(u.rows(), kernel[0].rows());
  for (Index k = 0; k < u.rows(); ++k) {
    const Index lags = std::min<Index>(k + 1, static_cast<Index>(kernel.size()));
    for (Index l = 0; l < lags; ++l) y.row(k) += kernel[l] * u.row(k - l).transpose();
  }
  return y;
}

std::vector<MatrixXcd> frequency_response(const DiscreteSystem& system,
                                          std::span<const double> omegas) {
  check_shapes(system, "frequency_response");
  const auto& [A, B, C, D] = system;
  std::vector<MatrixXcd> response;
  for (const double omega : omegas) {
    const MatrixXcd up = resolvent(A, B, C, 1, std::polar(1.0, -omega));
    const MatrixXcd down = resolvent(A, B, C, 1, std::polar(1.0, omega));
    response.push_back((up + down.conjugate()) / 2 + D);
  }
  return response;
}

std::vector<MatrixXcd> frequency_response(const ContinuousSystem& system,
                                          std::span<const double> omegas) {
  check_shapes(system, "frequency_response");
  const auto& [A, B, C, D] = system;
  std::vector<MatrixXcd> response;
  for (const double omega : omegas) {
    const MatrixXcd up = resolvent(A, B, C, Complex(0, omega), 1);
    const MatrixXcd down = resolvent(A, B, C, Complex(0, -omega), 1);
    response.push_back((up + down.conjugate()) / 2 + D);
  }
  return response;
}

}  // namespace longwave::theory
