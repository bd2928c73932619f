// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <complex>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/ops/dplr_kernel/dplr_kernel.h"

namespace longwave::ops {

/// One mode of one channel with dt folded in: lambda = dt Lambda, v_ij = dt c_i b_j.
template <typename T>
struct DplrMode {
  using Complex = std::complex<T>;

  template <typename Args>
  DplrMode(const Args& args, int64_t channel, int64_t mode)
      : rank(args.P.absent() ? 0 : args.P.extent(0)),
        dt(static_cast<T>(args.dt(channel))),
        Lambda(args.Lambda(channel, mode)) {
    b[0] = Complex(args.B(channel, mode));
    c[0] = Complex(args.Ct(channel, mode));
    for (int64_t r = 0; r < rank; ++r) {
      b[r + 1] = Complex(args.P(r, channel, mode));
      c[r + 1] = std::conj(b[r + 1]);
    }
  }

  Complex lambda() const { return dt * Lambda; }
  Complex v(int64_t i, int64_t j) const { return dt * c[i] * b[j]; }

  int64_t rank;
  T dt;
  Complex Lambda;
  std::array<Complex, kDplrMaxRank + 1> b, c;
};

/// Gradients with respect to the lambda and the v_ij of a mode.
template <typename T>
struct DplrModeGrad {
  std::complex<T> lambda = 0;
  std::array<std::array<std::complex<T>, kDplrMaxRank + 1>, kDplrMaxRank + 1> v{};
};

/// Writes the gradients of the parameters of a mode; returns its part of the gradient of dt.
template <typename T, typename Args>
T store_mode_grad(const DplrMode<T>& mode, const DplrModeGrad<T>& grad, const Args& args,
                  int64_t channel, int64_t n) {
  using Complex = std::complex<T>;
  using Stored = std::remove_cvref_t<decltype(args.dLambda(0, 0))>;
  std::array<Complex, kDplrMaxRank + 1> of_b{}, of_c{};
  T of_dt = std::real(std::conj(mode.Lambda) * grad.lambda);
  for (int64_t i = 0; i <= mode.rank; ++i) {
    for (int64_t j = 0; j <= mode.rank; ++j) {
      of_b[j] += mode.dt * std::conj(mode.c[i]) * grad.v[i][j];
      of_c[i] += mode.dt * std::conj(mode.b[j]) * grad.v[i][j];
      of_dt += std::real(std::conj(mode.c[i] * mode.b[j]) * grad.v[i][j]);
    }
  }
  args.dLambda(channel, n) = Stored(mode.dt * grad.lambda);
  args.dB(channel, n) = Stored(of_b[0]);
  args.dCt(channel, n) = Stored(of_c[0]);
  for (int64_t r = 0; r < mode.rank; ++r) {
    args.dP(r, channel, n) = Stored(of_b[r + 1] + std::conj(of_c[r + 1]));
  }
  return of_dt;
}

}  // namespace longwave::ops
