// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// The chunked view of a time-invariant system with a full state matrix; differentiable throughout.
///
/// Sequences are cut into chunks of T steps. With s the state before a chunk,
///
///   y = Toeplitz(K) u + G s,   s' = A^T s + V u
///   K_l = C A^l B,   row l of G = C A^(l+1),   column l of V = A^(T-1-l) B
///
/// so that nearly all work is products of matrices; only s -> s' runs chunk after chunk.
///
/// Shapes     u (batch, time, channels), A (channels, n, n), B, C (channels, n), d (channels),
///            state (batch, channels, n) or undefined for zeros.
/// Source     the chunked algorithm of Mamba-2, arXiv:2405.21060, section 6, with constant factors.
/// Cost       T + 2 n + n^2 / T multiply-adds an element and n^3 log2(T) a channel.
struct DenseScanOutput {
  torch::Tensor y;      // (batch, time, channels)
  torch::Tensor state;  // (batch, channels, n) after the last step
};
DenseScanOutput dense_scan(const torch::Tensor& u, const torch::Tensor& A, const torch::Tensor& B,
                           const torch::Tensor& C, const torch::Tensor& d,
                           const torch::Tensor& state);

/// A^-1 B, for discretising: (channels, n, n) and (channels, n, columns), differentiable.
///
/// Numerics   of a singular A nothing is finite, as of weights that are not: training sees to both.
///            A GPU is not waited for.
torch::Tensor solved(const torch::Tensor& A, const torch::Tensor& B);

}  // namespace longwave::ops
