// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/dplr_kernel/dplr_kernel.h"

namespace longwave::ops {

/// The generating functions of dplr_kernel at the nodes of its plan, and their gradients.
///
/// With w = exp(-2 i theta), c = cos theta, s = sin theta and lambda = dt Lambda, the sums are
///
///   (1 + w) r_ij = c q_ij,       Khat = exp(i theta) (q_00 - c q_0P (1 + c q_PP)^-1 q_P0)
///   q_ij = sum_n (4 i s Re v - 2 c Re(v conj lambda)) / (c^2 |lambda|^2 - 4 s^2 - 4 i s c Re
///   lambda)
///
/// because z = 2 (1 - w) / (1 + w) = 2 i s / c is imaginary. Each term is a real multiple of one
/// complex reciprocal, so that all sums over modes are one real matrix product on a tile of nodes:
///
///   (P_ij, Q_ij) = sum_n (Re(v conj lambda), Re v) / denominator,    q_ij = 4 i s Q_ij - 2 c P_ij

/// Floats of scratch that one thread needs.
int64_t dplr_cauchy_scratch_floats(int64_t modes, int64_t rank);

/// Fills spectra (channels, 2, padded nodes): real and imaginary parts, of channels [begin, end).
void dplr_cauchy(const DplrKernelArgs<float>& args, int64_t begin, int64_t end,
                 const View<float, 3>& spectra, float* scratch);

/// Gradients of all parameters of channels [begin, end) from those of the spectra; those of the
/// padding must be zero.
void dplr_cauchy_grad(const DplrKernelGradArgs<float>& args, int64_t begin, int64_t end,
                      const View<const float, 3>& dspectra, float* scratch);

}  // namespace longwave::ops
