// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vandermonde/vandermonde.h"

namespace longwave::ops {

template <typename T>
void vandermonde_ref(const VandermondeArgs<T>& args) {
  for (int64_t i = 0; i < args.K.extent(0); ++i) {
    for (int64_t l = 0; l < args.K.extent(1); ++l) args.K(i, l) = 0;
    for (int64_t n = 0; n < args.a.extent(1); ++n) {
      std::complex<T> power = 1;
      for (int64_t l = 0; l < args.K.extent(1); ++l) {
        args.K(i, l) += std::real(args.c(i, n) * power);
        power *= args.a(i, n);
      }
    }
  }
}

template <typename T>
void vandermonde_grad_ref(const VandermondeGradArgs<T>& args) {
  for (int64_t i = 0; i < args.a.extent(0); ++i) {
    for (int64_t n = 0; n < args.a.extent(1); ++n) {
      // power = a^l and derivative = l a^(l-1)
      std::complex<T> power = 1, derivative = 0, of_power = 0, of_derivative = 0;
      for (int64_t l = 0; l < args.dK.extent(1); ++l) {
        of_power += args.dK(i, l) * power;
        of_derivative += args.dK(i, l) * derivative;
        derivative = derivative * args.a(i, n) + power;
        power *= args.a(i, n);
      }
      args.dc(i, n) = std::conj(of_power);
      args.da(i, n) = std::conj(args.c(i, n) * of_derivative);
    }
  }
}

template void vandermonde_ref(const VandermondeArgs<float>&);
template void vandermonde_ref(const VandermondeArgs<double>&);
template void vandermonde_grad_ref(const VandermondeGradArgs<float>&);
template void vandermonde_grad_ref(const VandermondeGradArgs<double>&);

}  // namespace longwave::ops
