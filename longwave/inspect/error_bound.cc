// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/error_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::inspect {
namespace {

using Eigen::ArrayXd;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using Eigen::VectorXd;

constexpr double kSteps = 8;  // roundings of coefficients, one product and one sum

MatrixXd diagonal_bound(const theory::DiscreteSystem& system, const MatrixXd& u, double epsilon) {
  const auto inputs = static_cast<double>(system.B.cols());
  const auto n = static_cast<double>(system.A.rows());
  const ArrayXd a = system.A.diagonal().cwiseAbs();
  const ArrayXd exponent = system.A.diagonal()
                               .unaryExpr([](std::complex<double> value) {
                                 return value == 0.0 ? std::complex<double>(0) : std::log(value);
                               })
                               .cwiseAbs();
  const MatrixXd B = system.B.cwiseAbs(), C = system.C.cwiseAbs(), D = system.D.cwiseAbs();
  const ArrayXd local = epsilon * (inputs + kSteps + exponent);
  ArrayXd x = ArrayXd::Zero(a.size()), error = ArrayXd::Zero(a.size());
  MatrixXd bound(u.rows(), C.rows());
  for (Eigen::Index k = 0; k < u.rows(); ++k) {
    const VectorXd sample = u.row(k).transpose().cwiseAbs();
    x = a * x + (B * sample).array();
    error = a * error + local * x;
    bound.row(k) =
        (C * error.matrix() + epsilon * (n + inputs + kSteps) * (C * x.matrix() + D * sample))
            .transpose();
  }
  return bound;
}

/// sum over j <= k of |C A^j|, and the squared norm of the impulse response up to k.
struct Gains {
  std::vector<MatrixXd> state;  // (outputs, n) for each k
  MatrixXd squared;             // (time, outputs)
};

Gains gains(const theory::DiscreteSystem& system, Eigen::Index time) {
  Gains result{.state = {}, .squared = MatrixXd(time, system.C.rows())};
  MatrixXcd row = system.C;
  MatrixXd sum = MatrixXd::Zero(row.rows(), row.cols());
  VectorXd squared = VectorXd::Zero(row.rows());
  for (Eigen::Index j = 0; j < time; ++j) {
    sum += row.cwiseAbs();
    MatrixXd response = (row * system.B).real();
    if (j == 0) response += system.D;
    squared += response.rowwise().squaredNorm();
    result.state.push_back(sum);
    result.squared.row(j) = squared.transpose();
    row = row * system.A;
  }
  return result;
}

MatrixXd dense_bound(const theory::DiscreteSystem& system, const MatrixXd& u, double epsilon) {
  const double unit = epsilon * (static_cast<double>(system.A.rows() + system.B.cols()) + kSteps);
  const MatrixXd A = system.A.cwiseAbs(), B = system.B.cwiseAbs();
  const MatrixXd C = system.C.cwiseAbs(), D = system.D.cwiseAbs();
  const Gains gain = gains(system, u.rows());
  VectorXcd x = VectorXcd::Zero(system.A.rows());
  VectorXd largest = VectorXd::Zero(system.A.rows());
  double energy = 0;
  MatrixXd bound(u.rows(), C.rows());
  for (Eigen::Index k = 0; k < u.rows(); ++k) {
    const VectorXd sample = u.row(k).transpose();
    const VectorXd local = unit * (A * x.cwiseAbs() + B * sample.cwiseAbs());
    x = system.A * x + system.B * sample.cast<std::complex<double>>();
    largest = largest.cwiseMax(local);
    energy += sample.squaredNorm();
    const double transform = epsilon * (kSteps + std::log2(2.0 * static_cast<double>(u.rows())));
    bound.row(k) = (gain.state[static_cast<size_t>(k)] * largest +
                    unit * (C * x.cwiseAbs() + D * sample.cwiseAbs()) +
                    transform * std::sqrt(energy) * gain.squared.row(k).transpose().cwiseSqrt())
                       .transpose();
  }
  return bound;
}

}  // namespace

bool is_diagonal(const theory::DiscreteSystem& system) { return system.A.isDiagonal(0.0); }

MatrixXd rounding_bound(const theory::DiscreteSystem& system, const MatrixXd& u,
                        Arithmetic arithmetic) {
  theory::check_shapes(system, "rounding_bound");
  require(u.cols() == system.B.cols(), "rounding_bound", "u must have one column for each input");
  const MatrixXd bound = is_diagonal(system) ? diagonal_bound(system, u, arithmetic.epsilon)
                                             : dense_bound(system, u, arithmetic.epsilon);
  // Results below the smallest normal number may be flushed to zero.
  return bound.array() + std::numeric_limits<float>::min() * static_cast<double>(system.A.rows());
}

}  // namespace longwave::inspect
