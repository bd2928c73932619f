// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <complex>
#include <cstdint>

#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/ops/dplr_kernel/dplr_mode.h"

namespace longwave::ops {

/// Real parts of a tile, then imaginary parts.
inline constexpr int64_t kCauchyPlane = 2 * DplrKernelPlan::kTile;
inline constexpr int64_t kCauchyLanes = 16;

/// Modes and rows are blocked by these in the matrix products.
inline constexpr int64_t kCauchyModeBlock = 4;
inline constexpr int64_t kCauchyRowBlock = 2;

/// Where everything lies in the scratch of a thread.
struct CauchyLayout {
  CauchyLayout(int64_t mode_count, int64_t low_rank)
      : rank(low_rank),
        rows(2 * (low_rank + 1) * (low_rank + 1)),
        modes((mode_count + kCauchyModeBlock - 1) / kCauchyModeBlock * kCauchyModeBlock),
        square(0),
        real(square + modes),
        weights(real + modes),
        reciprocals(aligned(weights + rows * modes)),
        sums(reciprocals + modes * kCauchyPlane),
        dreciprocals(sums + rows * kCauchyPlane),
        dweights(dreciprocals + modes * kCauchyPlane),
        dsquare(dweights + rows * modes * kCauchyLanes),
        dreal(dsquare + modes * kCauchyLanes),
        total(dreal + modes * kCauchyLanes) {}

  static int64_t aligned(int64_t floats) {
    return (floats + kCauchyLanes - 1) / kCauchyLanes * kCauchyLanes;
  }

  /// Row of P_ij in weights and sums; Q_ij follows.
  int64_t row(int64_t i, int64_t j) const { return 2 * (i * (rank + 1) + j); }

  int64_t rank, rows, modes;
  int64_t square;        // (modes) |lambda|^2
  int64_t real;          // (modes) Re lambda
  int64_t weights;       // (rows, modes) Re(v conj lambda), Re v
  int64_t reciprocals;   // (modes, 2, tile)
  int64_t sums;          // (rows, 2, tile) P and Q, then q; backward: their gradients
  int64_t dreciprocals;  // (modes, 2, tile)
  int64_t dweights;      // (rows, modes, lanes) partial sums by lane
  int64_t dsquare;       // (modes, lanes)
  int64_t dreal;         // (modes, lanes)
  int64_t total;
};

/// Folds dt into the parameters of a channel, in double.
template <typename Args>
void fold_modes(const Args& args, int64_t channel, const CauchyLayout& at, float* scratch) {
  std::fill_n(scratch, at.reciprocals, 0.0f);
  // A mode that is padding has no weight and a denominator that is nowhere zero.
  std::fill_n(scratch + at.square, at.modes, 1.0f);
  std::fill_n(scratch + at.real, at.modes, -1.0f);
  for (int64_t n = 0; n < args.Lambda.extent(1); ++n) {
    const DplrMode<double> mode(args, channel, n);
    const std::complex<double> lambda = mode.lambda();
    scratch[at.square + n] = static_cast<float>(std::norm(lambda));
    scratch[at.real + n] = static_cast<float>(lambda.real());
    for (int64_t i = 0; i <= at.rank; ++i) {
      for (int64_t j = 0; j <= at.rank; ++j) {
        const std::complex<double> v = mode.v(i, j);
        float* weights = scratch + at.weights + at.row(i, j) * at.modes;
        weights[n] = static_cast<float>((v * std::conj(lambda)).real());
        weights[at.modes + n] = static_cast<float>(v.real());
      }
    }
  }
}

}  // namespace longwave::ops
