// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <vector>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// What one pole does in time. Times are steps for a discrete system, else the unit of t.
struct Mode {
  std::complex<double> pole;
  double time_constant;  ///< until the mode has decayed to 1/e; infinite without decay, < 0 growing
  double half_life;      ///< until it has decayed to 1/2
  double frequency;      ///< cycles per step or per unit of t; negative below the real axis
};

/// |a|^k = e^(-k / time_constant), arg a = 2 pi frequency. A pole at zero forgets at once.
Mode discrete_mode(std::complex<double> a);

/// e^(t Re lambda) = e^(-t / time_constant), Im lambda = 2 pi frequency.
Mode continuous_mode(std::complex<double> lambda);

/// The eigenvalues of A; read off where A is diagonal.
Eigen::VectorXcd poles(const Eigen::MatrixXcd& A);

/// All modes, the slowest first.
std::vector<Mode> modes(const DiscreteSystem& system);
std::vector<Mode> modes(const ContinuousSystem& system);

/// The convolution kernel: K_l = Re(C A^l B), l = 0, ..., length - 1, each (outputs, inputs).
///
/// Cost       length * n^2 * inputs complex multiply-adds.
std::vector<Eigen::MatrixXd> convolution_kernel(const DiscreteSystem& system, int64_t length);

/// The response to a unit impulse at k = 0: the kernel, with D added at l = 0.
std::vector<Eigen::MatrixXd> impulse_response(const DiscreteSystem& system, int64_t length);

/// The response at continuous times to a unit impulse at t = 0: Re(C e^(tA) B). D, which answers
/// with an impulse, is left out.
std::vector<Eigen::MatrixXd> impulse_response(const ContinuousSystem& system,
                                              std::span<const double> times);

/// Causal convolution by its definition: y[k] = sum_{l <= k} K_l u[k - l], K_l = 0 past the end.
///
/// Shapes     u (time, inputs), y (time, outputs).
Eigen::MatrixXd convolve(std::span<const Eigen::MatrixXd> kernel, const Eigen::MatrixXd& u);

/// The gain and phase with which each input frequency passes: H (outputs, inputs) per frequency.
///
///   discrete     H = sum_l K_l e^(-i omega l) + D,          omega in radians per step
///   continuous   H = integral Re(C e^(tA) B) e^(-i omega t) dt + D
///
/// The kernel is the real part of a complex one, so with G(omega) = C (I - e^(-i omega) A)^-1 B,
/// or C (i omega I - A)^-1 B, the result is H(omega) = (G(omega) + conj G(-omega)) / 2 + D.
///
/// Cost       n inputs for a diagonal A and n^3 for a dense one, per frequency.
std::vector<Eigen::MatrixXcd> frequency_response(const DiscreteSystem& system,
                                                 std::span<const double> omegas);
std::vector<Eigen::MatrixXcd> frequency_response(const ContinuousSystem& system,
                                                 std::span<const double> omegas);

}  // namespace longwave::theory
