// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdint>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// A diagonal-plus-low-rank system, the heart of S4; conjugate pairs stored once.
///
///   x' = A x + B u,   y = C x,   A = diag(Lambda) - P P^*
///
/// The vectors here are the first half; the system lives on the doubled space, where each is
/// followed by its conjugate, so y is real and equals 2 Re of the half's sum.
///
/// Source     Gu, Goel, Re 2022, arXiv:2111.00396, section 3; mathematics.md 2.3.
struct Dplr {
  Eigen::VectorXcd Lambda;  // (n/2)
  Eigen::MatrixXcd P;       // (n/2, rank)
  Eigen::VectorXcd B;       // (n/2)
  Eigen::RowVectorXcd C;    // (n/2)
};

/// The dense system of n states, with D = 0.
///
/// Errors     InvalidArgument if the extents of the vectors differ; so for every function below.
ContinuousSystem dense_system(const Dplr& system);

/// The dense system under the bilinear rule, with D = 0.
DiscreteSystem bilinear_system(const Dplr& system, double dt);

/// One step of the bilinear system in O(n rank), by the Woodbury identity.
///
///   E = 1 / (2/dt - Lambda)
///   v = (2/dt + Lambda) . x - P (P^* x) + 2 B u          (over the doubled space, P^* x is real)
///   x <- E . (v - P (I + P^* E P)^-1 P^* (E . v))
///
/// Threads    const use is safe from many threads with distinct states.
class DplrStep {
 public:
  DplrStep(const Dplr& system, double dt);

  /// The half state (n/2) after input u.
  Eigen::VectorXcd next(const Eigen::VectorXcd& x, double u) const;

  /// y of a half state: 2 Re(C x).
  double output(const Eigen::VectorXcd& x) const;

 private:
  Dplr system_;
  double dt_;
  Eigen::VectorXcd E_;
  Eigen::MatrixXd correction_;  // (rank, rank): (I + P^* E P)^-1
};

/// Ct = C (I - Abar^length), which S4 learns in place of C: with it the generating function of a
/// kernel cut at `length` is a rational function.
Eigen::RowVectorXcd truncated_output(const Dplr& system, double dt, int64_t length);

/// The inverse: C from the Ct that `system.C` holds.
Eigen::RowVectorXcd recovered_output(const Dplr& system, double dt, int64_t length);

/// From the Ct of `length` that `system.C` holds to that of 2 length: Ct (I + Abar^length).
Eigen::RowVectorXcd doubled_output(const Dplr& system, double dt, int64_t length);

/// How the generating function is evaluated; both are the same rational function.
enum class GeneratingForm {
  kTextbook,  ///< in z = 2 (1 - w) / (1 + w), infinite at w = -1, where the limit is taken
  kPoleFree,  ///< multiplied through by 1 + w: regular on the whole circle
};

/// The truncated generating function sum_{l < length} K_l w^l at nodes w with |w| = 1.
///
///   textbook    2/(1+w) (k00 - k01 (I + k11)^-1 k10),        k = sum v dt / (z - dt Lambda)
///   pole-free   2 (k00 - (1+w) k01 (I + (1+w) k11)^-1 k10),  k = sum v dt / (2(1-w) - dt Lambda
///   (1+w))
///
/// v runs over the products of {Ct, conj P} with {B, P} on the doubled space.
///
/// Numerics   needs Re Lambda < 0: a pole on the imaginary axis may meet a node.
Eigen::VectorXcd generating_function(const Dplr& system, const Eigen::RowVectorXcd& Ct, double dt,
                                     const Eigen::VectorXcd& nodes, GeneratingForm form);

/// The kernel K_l = C Abar^l Bbar, l < length, by the generating function at the roots of unity and
/// an inverse Fourier transform.
///
/// Cost       length * n * rank^2 for the function, length^2 for the plain transform.
Eigen::VectorXd dplr_kernel(const Dplr& system, double dt, int64_t length, GeneratingForm form);

}  // namespace longwave::theory
