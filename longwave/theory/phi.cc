// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/phi.h"

#include <cmath>

namespace longwave::theory {

std::complex<double> complex_expm1(std::complex<double> z) {
  const double half_sine = std::sin(z.imag() / 2);
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half_sine * half_sine,
          std::exp(z.real()) * std::sin(z.imag())};
}

std::complex<double> phi1(std::complex<double> z) { return z == 0.0 ? 1.0 : complex_expm1(z) / z; }

std::complex<double> phi2(std::complex<double> z) {
  if (std::abs(z) >= 0.5) return (phi1(z) - 1.0) / z;
  // sum_k z^k / (k + 2)!; at |z| = 1/2 the 17th term is below 1e-20.
  constexpr int kTerms = 17;
  std::complex<double> sum = 0;
  std::complex<double> term = 0.5;
  for (int k = 0; k < kTerms; ++k) {
    sum += term;
    term *= z / (k + 3.0);
  }
  return sum;
}

}  // namespace longwave::theory
