// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// How x' = A x + B u becomes x[k] = Abar x[k-1] + Bbar u[k] over a step dt.
///
/// Order is the order of accuracy on a smooth input; discretize_test.cc measures it.
enum class Discretization {
  kEuler,                 ///< I + dt A; dt B. Order 1, stable only where |1 + dt lambda| < 1.
  kBackwardEuler,         ///< (I - dt A)^-1; Abar dt B. Order 1, A- and L-stable.
  kBilinear,              ///< (I - dt/2 A)^-1 (I + dt/2 A); input held, as S4. Order 1, A-stable.
  kBilinearTwoPoint,      ///< the same, input averaged over both ends. Order 2.
  kZeroOrderHold,         ///< e^(dt A); exact for a piecewise constant input. Order 1 otherwise.
  kFirstOrderHold,        ///< e^(dt A); exact for a piecewise linear input. Order 2 otherwise.
  kExponentialEuler,      ///< e^(dt A); dt B, as the code of Mamba. Order 1.
  kExponentialTrapezoid,  ///< e^(dt A); trapezoid rule for the input, as Mamba-3. Order 2.
  kDirac,                 ///< e^(dt A); B: the input is a sequence of impulses.
  kAsynchronous,          ///< e^(dt elapsed A); ZOH weight of dt alone, as Event-SSM.
};

/// "euler", "backward_euler", "bilinear", "bilinear_two_point", "zoh", "foh", "exp_euler",
/// "exp_trapezoid", "dirac", "async": in this order.
std::vector<std::string> discretization_names();
std::string_view name(Discretization rule);

/// Errors     InvalidArgument with the nearest known name.
Discretization discretization(std::string_view name);

/// One step of a single mode: x[k] = a x[k-1] + B (gain u[k] + gain_previous u[k-1]).
///
/// `gain_previous` is zero but for the rules of order 2.
struct DiagonalStep {
  std::complex<double> a;
  std::complex<double> gain;
  std::complex<double> gain_previous = 0;
};

/// The step of one pole.
///
/// The step length is dt * elapsed. `elapsed` is the time since the previous sample in units in
/// which regular samples are 1 apart: irregular sampling and a change of sampling rate differ from
/// 1. Only kAsynchronous treats the two factors differently: dt is a learned scale there and the
/// weight of an event does not depend on how long ago the last one was.
///
/// Source     mathematics.md 2.1: S4 section 2.3, S5 section 2, Mamba section 2, Event-SSM.
/// Numerics   complex expm1, phi1 and phi2 of phi.h: full precision down to dt lambda = 0.
/// Errors     InvalidArgument unless dt > 0 and elapsed > 0 (elapsed >= 0 for the exponential
///            rules: two events at once).
DiagonalStep discretize(std::complex<double> lambda, double dt, Discretization rule,
                        double elapsed = 1);

/// The generalised bilinear rule, 0 <= alpha <= 1: 0 Euler, 1/2 bilinear, 1 backward Euler.
///
///   a = (1 + (1 - alpha) dt lambda) / (1 - alpha dt lambda),   gain = dt / (1 - alpha dt lambda)
DiagonalStep generalised_bilinear(std::complex<double> lambda, double dt, double alpha);

/// Mamba-3's rule, 0 <= weight <= 1: a = e^(dt lambda), gain = weight dt,
/// gain_previous = (1 - weight) dt a. Order 2 at weight = 1/2; weight = 1 is exponential Euler.
DiagonalStep exponential_trapezoid(std::complex<double> lambda, double dt, double weight);

/// One step of a dense system: x[k] = A x[k-1] + B u[k] + B_previous u[k-1].
struct DenseStep {
  Eigen::MatrixXcd A, B, B_previous;
};

/// The step of a dense system, singular A included.
///
/// Numerics   the exponential rules read their blocks off the exponential of an augmented matrix
///            ([[A, B], [0, 0]] dt for ZOH), so nothing divides by A.
/// Errors     InvalidArgument as the diagonal form, or if shapes disagree.
DenseStep discretize_step(const Eigen::MatrixXcd& A, const Eigen::MatrixXcd& B, double dt,
                          Discretization rule, double elapsed = 1);
DenseStep generalised_bilinear(const Eigen::MatrixXcd& A, const Eigen::MatrixXcd& B, double dt,
                               double alpha);
DenseStep exponential_trapezoid(const Eigen::MatrixXcd& A, const Eigen::MatrixXcd& B, double dt,
                                double weight);

/// The discrete system of a continuous one.
///
/// The rules of order 2 also need u[k-1]; it becomes part of the state, which then is
/// (x[k], u[k]) with n + inputs entries: A = [[A, B_previous], [0, 0]], B = [[B], [I]].
DiscreteSystem discretize(const ContinuousSystem& system, double dt, Discretization rule,
                          double elapsed = 1);

/// One discrete system per sample, for samples `elapsed[k]` after their predecessor.
std::vector<DiscreteSystem> discretize_irregular(const ContinuousSystem& system, double dt,
                                                 Discretization rule,
                                                 std::span<const double> elapsed);

}  // namespace longwave::theory
