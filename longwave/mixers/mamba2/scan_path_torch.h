// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/mixers/mamba2/mamba2.h"

namespace longwave::mixers::mamba2 {

/// What follows the first projection of a Mamba-2 layer; inner = heads head_dim, convolved = inner
/// + 2 groups state.
struct ScanPath {
  torch::Tensor projected;   ///< (batch, time, inner + convolved + heads) gate; x, B, C; dt
  torch::Tensor conv_w;      ///< (convolved, width)
  torch::Tensor conv_b;      ///< (convolved), or undefined for 0
  torch::Tensor A;           ///< (heads)
  torch::Tensor D;           ///< (heads) or (heads, head_dim)
  torch::Tensor dt_bias;     ///< (heads)
  torch::Tensor norm_w;      ///< (inner), or undefined for no norm: the gate is then all
  torch::Tensor out_proj_w;  ///< (channels, inner)
  torch::Tensor out_proj_b;  ///< (channels), or undefined for 0
  torch::Tensor history;     ///< (batch, width - 1, convolved), or undefined for 0
  torch::Tensor h0;          ///< (batch, heads, head_dim, state), or undefined for 0
  torch::Tensor starts;      ///< (batch, time) uint8, or undefined
};

struct ScanPathOutput {
  torch::Tensor y;        ///< (batch, time, channels)
  torch::Tensor history;  ///< as in ScanPath, after the last step
  torch::Tensor h;
};

/// Convolution, scan, gated norm and last projection, differentiable in everything but `starts`:
///
///   x, B, C = silu(conv(x, B, C) + conv_b)
///   y = gated_norm(ssd(x, dt, A, B, C, D), z) out_proj_w^T + out_proj_b
///
/// Numerics   the same bits as `scan_path_of_operations` forward; gradients in another order of
///            sums.
/// Cost       keeps what was projected, what the scan gave and a number a row and group of the norm
///            for the gradient, which computes what the convolution and the norm gave again. On
///            a GPU that is kept, too.
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
ScanPathOutput scan_path(const Settings& settings, const ScanPath& in);

/// The same as one operation after the other, each of which keeps what it reads: the form for
/// bfloat16 on the CPU, for what kernels of a GPU do not offer, and without a norm.
ScanPathOutput scan_path_of_operations(const Settings& settings, const ScanPath& in);

}  // namespace longwave::mixers::mamba2
