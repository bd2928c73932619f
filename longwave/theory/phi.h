// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>

namespace longwave::theory {

/// e^z - 1 without cancellation near zero.
///
///   expm1(x + iy) = expm1(x) cos y - 2 sin^2(y/2) + i e^x sin y
///
/// Numerics   error a few eps |expm1(z)|, where (exp(z) - 1) loses all digits as z goes to zero.
std::complex<double> complex_expm1(std::complex<double> z);

/// (e^z - 1) / z, with phi1(0) = 1: the weight of a held input over one step.
std::complex<double> phi1(std::complex<double> z);

/// (e^z - 1 - z) / z^2, with phi2(0) = 1/2: the weight of a linearly rising input.
///
/// Numerics   series below |z| = 1/2, where the closed form cancels.
std::complex<double> phi2(std::complex<double> z);

}  // namespace longwave::theory
