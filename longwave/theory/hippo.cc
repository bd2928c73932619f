// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/hippo.h"

#include <array>
#include <cmath>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/theory/enum_names.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::array<EnumName<Hippo>, 4> kNames{{
    {Hippo::kLegS, "legs"},
    {Hippo::kLegT, "legt"},
    {Hippo::kLagT, "lagt"},
    {Hippo::kFouT, "fout"},
}};
constexpr std::span<const EnumName<Hippo>> kTable(kNames);

// sqrt(2n + 1), the norm of the n-th Legendre polynomial on [0, 1].
double legendre_norm(Index n) { return std::sqrt(2.0 * static_cast<double>(n) + 1); }

HippoMatrices legs_matrices(Index n) {
  HippoMatrices result{MatrixXd::Zero(n, n), VectorXd(n)};
  for (Index row = 0; row < n; ++row) {
    for (Index column = 0; column < row; ++column) {
      result.A(row, column) = -legendre_norm(row) * legendre_norm(column);
    }
    result.A(row, row) = -(static_cast<double>(row) + 1);
    result.B(row) = legendre_norm(row);
  }
  return result;
}

HippoMatrices legt_matrices(Index n) {
  HippoMatrices result{MatrixXd(n, n), VectorXd(n)};
  for (Index row = 0; row < n; ++row) {
    for (Index column = 0; column < n; ++column) {
      const double sign = row >= column || (column - row) % 2 == 0 ? 1 : -1;
      result.A(row, column) = -0.5 * legendre_norm(row) * legendre_norm(column) * sign;
    }
    result.B(row) = 0.5 * legendre_norm(row);
  }
  return result;
}

HippoMatrices lagt_matrices(Index n, double tilt) {
  HippoMatrices result{MatrixXd::Zero(n, n), VectorXd::Ones(n)};
  result.A.triangularView<Eigen::StrictlyLower>().setConstant(-1);
  result.A.diagonal().setConstant(-(1 + tilt) / 2);
  return result;
}

HippoMatrices fout_matrices(Index n) {
  require(n % 2 == 0, "hippo_matrices", "FouT needs an even order");
  HippoMatrices result{MatrixXd::Zero(n, n), VectorXd::Zero(n)};
  for (Index even = 0; even < n; even += 2) {
    const double frequency = std::numbers::pi * static_cast<double>(even / 2);
    result.A(even, even + 1) = -frequency;
    result.A(even + 1, even) = frequency;
    result.B(even) = even == 0 ? 1 : std::numbers::sqrt2;
  }
  result.A -= result.B * result.B.transpose();
  return result;
}

// (I - fraction A)^-1 v for a lower triangular A.
VectorXd solve_implicit(const MatrixXd& A, double fraction, const VectorXd& v) {
  const MatrixXd implicit = MatrixXd::Identity(A.rows(), A.cols()) - fraction * A;
  return implicit.triangularView<Eigen::Lower>().solve(v);
}

}  // namespace

std::vector<std::string> hippo_names() { return names_of(kTable); }

std::string_view name(Hippo kind) { return name_of(kTable, kind); }

Hippo hippo(std::string_view name) { return value_of(kTable, name, "hippo"); }

HippoMatrices hippo_matrices(Hippo kind, int64_t n, double tilt) {
  require(n >= 1, "hippo_matrices", "the order must be at least 1");
  switch (kind) {
    case Hippo::kLegS:
      return legs_matrices(n);
    case Hippo::kLegT:
      return legt_matrices(n);
    case Hippo::kLagT:
      return lagt_matrices(n, tilt);
    case Hippo::kFouT:
      return fout_matrices(n);
  }
  throw InvalidArgument({"hippo_matrices", "unknown kind", "", ""});
}

VectorXd legendre(int64_t n, double x) {
  VectorXd P(n);
  for (Index k = 0; k < n; ++k) {
    const auto degree = static_cast<double>(k);
    P(k) = k == 0   ? 1
           : k == 1 ? x
                    : ((2 * degree - 1) * x * P(k - 1) - (degree - 1) * P(k - 2)) / degree;
  }
  return P;
}

VectorXd legs_impulse_response(int64_t n, double t) {
  VectorXd response = legendre(n, 2 * std::exp(-t) - 1);
  for (Index k = 0; k < n; ++k) response(k) *= legendre_norm(k) * std::exp(-t);
  return response;
}

VectorXd legs_memory_step(const HippoMatrices& legs, const VectorXd& c, double u, int64_t k,
                          Discretization rule) {
  require(k >= 0, "legs_memory_step", "k must not be negative");
  require(c.size() == legs.B.size(), "legs_memory_step", "c must have n entries");
  if (k == 0) return VectorXd::Unit(c.size(), 0) * u;

  const auto& [A, B] = legs;
  const double before = 1 / static_cast<double>(k);
  const double after = 1 / static_cast<double>(k + 1);
  switch (rule) {
    case Discretization::kEuler:
      return c + before * (A * c + B * u);
    case Discretization::kBackwardEuler:
      return solve_implicit(A, after, c + after * B * u);
    case Discretization::kBilinear:
      return solve_implicit(A, after / 2, c + before / 2 * (A * c + B * u) + after / 2 * B * u);
    case Discretization::kZeroOrderHold: {
      // In s = log t the memory is time-invariant: dc/ds = A c + B u.
      const DenseStep step = discretize_step(A, B, std::log1p(before), rule);
      return (step.A * c + step.B * u).real();
    }
    default:
      throw InvalidArgument({"legs_memory_step", "the time-varying memory has no such rule",
                             std::string(name(rule)),
                             "use euler, backward_euler, bilinear or zoh"});
  }
}

VectorXd legs_memory(int64_t n, std::span<const double> samples, Discretization rule) {
  const HippoMatrices legs = hippo_matrices(Hippo::kLegS, n);
  VectorXd c = VectorXd::Zero(n);
  for (size_t k = 0; k < samples.size(); ++k) {
    c = legs_memory_step(legs, c, samples[k], static_cast<int64_t>(k), rule);
  }
  return c;
}

double legs_reconstruct(const VectorXd& c, double position) {
  const VectorXd P = legendre(c.size(), 2 * position - 1);
  double sum = 0;
  for (Index n = 0; n < c.size(); ++n) sum += c(n) * legendre_norm(n) * P(n);
  return sum;
}

}  // namespace longwave::theory
