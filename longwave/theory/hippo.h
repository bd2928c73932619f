// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/theory/discretize.h"

namespace longwave::theory {

/// What a HiPPO memory remembers: the measure against which the past is projected on a basis.
enum class Hippo {
  kLegS,  ///< Legendre polynomials; the whole past, scaled (time-invariant: exponentially warped)
  kLegT,  ///< Legendre polynomials; a sliding window of length 2
  kLagT,  ///< Laguerre functions; exponentially decaying past
  kFouT,  ///< Fourier basis; a sliding window of length 2
};

/// "legs", "legt", "lagt", "fout".
std::vector<std::string> hippo_names();
std::string_view name(Hippo kind);

/// Errors     InvalidArgument with the nearest known name.
Hippo hippo(std::string_view name);

/// The pair of x' = A x + B u.
struct HippoMatrices {
  Eigen::MatrixXd A;  // (n, n)
  Eigen::VectorXd B;  // (n)
};

/// The HiPPO matrices of order n. `tilt` is the beta of LagT and ignored by the others:
/// its diagonal is -(1 + tilt)/2.
///
/// Source     Gu et al. 2020, arXiv:2008.07669, theorems 1 and 2; Gu et al. 2022,
///            arXiv:2206.12037; the signs of mathematics.md 2.2 (A stable).
/// Errors     InvalidArgument if n < 1, or n is odd for FouT, whose basis comes in pairs.
HippoMatrices hippo_matrices(Hippo kind, int64_t n, double tilt = 0);

/// P_0(x), ..., P_{n-1}(x): the Legendre polynomials.
Eigen::VectorXd legendre(int64_t n, double x);

/// e^(tA) B of LegS in closed form: entry n is sqrt(2n + 1) e^-t P_n(2 e^-t - 1).
Eigen::VectorXd legs_impulse_response(int64_t n, double t);

/// One step of the original, time-varying LegS memory c' = (A c + B u) / t.
///
/// Takes the coefficients of the past [0, k] to those of [0, k + 1], with `u` the value on
/// [k, k + 1]. The first step (k = 0) is exact for every rule: a constant past is c = (u, 0, ...).
///
///   Euler     c + (A c + B u) / k               backward Euler  (I - A/(k+1))^-1 (c + B u/(k+1))
///   bilinear  trapezoid of the two              ZOH             exact: e^(A log((k+1)/k))
///
/// Shapes     c (n).
/// Source     Gu et al. 2020, arXiv:2008.07669, theorem 2 and appendix B.3.
/// Cost       n^2 (triangular solves), ZOH 20 n^3.
/// Errors     InvalidArgument for another rule, k < 0 or a wrong extent.
Eigen::VectorXd legs_memory_step(const HippoMatrices& legs, const Eigen::VectorXd& c, double u,
                                 int64_t k, Discretization rule);

/// The memory of a whole sequence, one sample after the other.
Eigen::VectorXd legs_memory(int64_t n, std::span<const double> samples, Discretization rule);

/// The past that LegS coefficients describe, at `position` 0 (its start) to 1 (now).
///
///   u(position) ~ sum_n c_n sqrt(2n + 1) P_n(2 position - 1)
double legs_reconstruct(const Eigen::VectorXd& c, double position);

}  // namespace longwave::theory
