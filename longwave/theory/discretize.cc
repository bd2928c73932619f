// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/discretize.h"

#include <array>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"
#include "longwave/theory/enum_names.h"
#include "longwave/theory/matrix_exponential.h"
#include "longwave/theory/phi.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::MatrixXcd;

constexpr std::array<EnumName<Discretization>, 10> kNames{{
    {Discretization::kEuler, "euler"},
    {Discretization::kBackwardEuler, "backward_euler"},
    {Discretization::kBilinear, "bilinear"},
    {Discretization::kBilinearTwoPoint, "bilinear_two_point"},
    {Discretization::kZeroOrderHold, "zoh"},
    {Discretization::kFirstOrderHold, "foh"},
    {Discretization::kExponentialEuler, "exp_euler"},
    {Discretization::kExponentialTrapezoid, "exp_trapezoid"},
    {Discretization::kDirac, "dirac"},
    {Discretization::kAsynchronous, "async"},
}};
constexpr std::span<const EnumName<Discretization>> kTable(kNames);

void check_step(double dt, double elapsed) {
  require(dt > 0 && std::isfinite(dt), "discretize", "dt must be positive and finite");
  require(elapsed >= 0 && std::isfinite(elapsed), "discretize",
          "elapsed must be finite and not negative");
}

// The held input over a step: (e^(step A), integral of e^(s A) B ds over the step).
DenseStep zero_order_hold(const MatrixXcd& A, const MatrixXcd& B, double step) {
  const Index n = A.rows(), inputs = B.cols();
  MatrixXcd augmented = MatrixXcd::Zero(n + inputs, n + inputs);
  augmented.topLeftCorner(n, n) = A * step;
  augmented.topRightCorner(n, inputs) = B * step;
  const MatrixXcd blocks = matrix_exponential(augmented);
  return {blocks.topLeftCorner(n, n), blocks.topRightCorner(n, inputs), MatrixXcd::Zero(n, inputs)};
}

// The blocks right of e^(step A) are step phi1(step A) B and step phi2(step A) B.
DenseStep first_order_hold(const MatrixXcd& A, const MatrixXcd& B, double step) {
  const Index n = A.rows(), inputs = B.cols();
  MatrixXcd augmented = MatrixXcd::Zero(n + 2 * inputs, n + 2 * inputs);
  augmented.topLeftCorner(n, n) = A * step;
  augmented.block(0, n, n, inputs) = B * step;
  augmented.block(n, n + inputs, inputs, inputs).setIdentity();
  const MatrixXcd blocks = matrix_exponential(augmented);
  const MatrixXcd held = blocks.block(0, n, n, inputs);
  const MatrixXcd rising = blocks.block(0, n + inputs, n, inputs);
  return {blocks.topLeftCorner(n, n), rising, held - rising};
}

}  // namespace

std::vector<std::string> discretization_names() { return names_of(kTable); }

std::string_view name(Discretization rule) { return name_of(kTable, rule); }

Discretization discretization(std::string_view name) {
  return value_of(kTable, name, "discretization");
}

DiagonalStep generalised_bilinear(std::complex<double> lambda, double dt, double alpha) {
  require(alpha >= 0 && alpha <= 1, "generalised_bilinear", "alpha must lie in [0, 1]");
  const std::complex<double> implicit = 1.0 / (1.0 - alpha * dt * lambda);
  return {implicit * (1.0 + (1 - alpha) * dt * lambda), implicit * dt};
}

DiagonalStep exponential_trapezoid(std::complex<double> lambda, double dt, double weight) {
  require(weight >= 0 && weight <= 1, "exponential_trapezoid", "weight must lie in [0, 1]");
  const std::complex<double> a = std::exp(dt * lambda);
  return {a, weight * dt, (1 - weight) * dt * a};
}

DiagonalStep discretize(std::complex<double> lambda, double dt, Discretization rule,
                        double elapsed) {
  check_step(dt, elapsed);
  const double step = dt * elapsed;
  const std::complex<double> z = step * lambda;
  switch (rule) {
    case Discretization::kEuler:
      return generalised_bilinear(lambda, step, 0);
    case Discretization::kBackwardEuler:
      return generalised_bilinear(lambda, step, 1);
    case Discretization::kBilinear:
      return generalised_bilinear(lambda, step, 0.5);
    case Discretization::kBilinearTwoPoint: {
      const auto [a, gain, none] = generalised_bilinear(lambda, step, 0.5);
      return {a, gain / 2.0, gain / 2.0};
    }
    case Discretization::kZeroOrderHold:
      return {std::exp(z), step * phi1(z)};
    case Discretization::kFirstOrderHold:
      return {std::exp(z), step * phi2(z), step * (phi1(z) - phi2(z))};
    case Discretization::kExponentialEuler:
      return {std::exp(z), step};
    case Discretization::kExponentialTrapezoid:
      return exponential_trapezoid(lambda, step, 0.5);
    case Discretization::kDirac:
      return {std::exp(z), 1};
    case Discretization::kAsynchronous:
      return {std::exp(z), dt * phi1(dt * lambda)};
  }
  throw InvalidArgument({"discretize", "unknown rule", "", ""});
}

DenseStep generalised_bilinear(const MatrixXcd& A, const MatrixXcd& B, double dt, double alpha) {
  require(alpha >= 0 && alpha <= 1, "generalised_bilinear", "alpha must lie in [0, 1]");
  const MatrixXcd identity = MatrixXcd::Identity(A.rows(), A.cols());
  MatrixXcd both(A.rows(), A.cols() + B.cols());
  both << identity + (1 - alpha) * dt * A, dt * B;
  both = solve<std::complex<double>>(identity - alpha * dt * A, both);
  return {both.leftCols(A.cols()), both.rightCols(B.cols()), MatrixXcd::Zero(B.rows(), B.cols())};
}

DenseStep exponential_trapezoid(const MatrixXcd& A, const MatrixXcd& B, double dt, double weight) {
  require(weight >= 0 && weight <= 1, "exponential_trapezoid", "weight must lie in [0, 1]");
  const MatrixXcd decay = matrix_exponential(dt * A);
  return {decay, weight * dt * B, (1 - weight) * dt * decay * B};
}

DenseStep discretize_step(const MatrixXcd& A, const MatrixXcd& B, double dt, Discretization rule,
                          double elapsed) {
  check_step(dt, elapsed);
  require(A.rows() == A.cols() && B.rows() == A.rows(), "discretize",
          "A must be (n, n) and B (n, inputs)");
  const double step = dt * elapsed;
  const MatrixXcd none = MatrixXcd::Zero(B.rows(), B.cols());
  switch (rule) {
    case Discretization::kEuler:
      return generalised_bilinear(A, B, step, 0);
    case Discretization::kBackwardEuler:
      return generalised_bilinear(A, B, step, 1);
    case Discretization::kBilinear:
      return generalised_bilinear(A, B, step, 0.5);
    case Discretization::kBilinearTwoPoint: {
      const DenseStep held = generalised_bilinear(A, B, step, 0.5);
      return {held.A, held.B / 2, held.B / 2};
    }
    case Discretization::kZeroOrderHold:
      return zero_order_hold(A, B, step);
    case Discretization::kFirstOrderHold:
      return first_order_hold(A, B, step);
    case Discretization::kExponentialEuler:
      return {matrix_exponential(step * A), step * B, none};
    case Discretization::kExponentialTrapezoid:
      return exponential_trapezoid(A, B, step, 0.5);
    case Discretization::kDirac:
      return {matrix_exponential(step * A), B, none};
    case Discretization::kAsynchronous:
      return {matrix_exponential(step * A), zero_order_hold(A, B, dt).B, none};
  }
  throw InvalidArgument({"discretize", "unknown rule", "", ""});
}

DiscreteSystem discretize(const ContinuousSystem& system, double dt, Discretization rule,
                          double elapsed) {
  check_shapes(system, "discretize");
  const DenseStep step = discretize_step(system.A, system.B, dt, rule, elapsed);
  const bool one_point = rule != Discretization::kBilinearTwoPoint &&
                         rule != Discretization::kFirstOrderHold &&
                         rule != Discretization::kExponentialTrapezoid;
  if (one_point) return {step.A, step.B, system.C, system.D};

  const Index n = system.A.rows(), inputs = system.B.cols();
  DiscreteSystem result{MatrixXcd::Zero(n + inputs, n + inputs), MatrixXcd(n + inputs, inputs),
                        MatrixXcd::Zero(system.C.rows(), n + inputs), system.D};
  result.A.topLeftCorner(n, n) = step.A;
  result.A.topRightCorner(n, inputs) = step.B_previous;
  result.B.topRows(n) = step.B;
  result.B.bottomRows(inputs).setIdentity();
  result.C.leftCols(n) = system.C;
  return result;
}

std::vector<DiscreteSystem> discretize_irregular(const ContinuousSystem& system, double dt,
                                                 Discretization rule,
                                                 std::span<const double> elapsed) {
  std::vector<DiscreteSystem> steps;
  steps.reserve(elapsed.size());
  for (const double time : elapsed) steps.push_back(discretize(system, dt, rule, time));
  return steps;
}

}  // namespace longwave::theory
