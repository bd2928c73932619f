// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::mixers::mamba {

/// What lies between the projections of a Mamba layer.
struct ScanPath {
  torch::Tensor xz;       ///< (batch, time, 2 inner) signal and gate, side by side
  torch::Tensor conv_w;   ///< (inner, width)
  torch::Tensor conv_b;   ///< (inner), or undefined for 0
  torch::Tensor x_proj;   ///< (dt_rank + 2 state, inner)
  torch::Tensor dt_proj;  ///< (inner, dt_rank)
  torch::Tensor dt_bias;  ///< (inner)
  torch::Tensor A;        ///< (inner, state)
  torch::Tensor D;        ///< (inner)
  torch::Tensor history;  ///< (batch, width - 1, inner), or undefined for 0
  torch::Tensor h0;       ///< (batch, inner, state), or undefined for 0
  torch::Tensor starts;   ///< (batch, time) uint8, or undefined
};

struct ScanPathOutput {
  torch::Tensor y;        ///< (batch, time, inner)
  torch::Tensor history;  ///< as in ScanPath, after the last step
  torch::Tensor h;
};

/// Convolution, selections and gated scan, differentiable in everything but `starts`:
///
///   c = silu(conv(x) + conv_b)             r, B, C = c x_proj^T
///   y = scan(c, r dt_proj^T, A, B, C, D) silu(z)
///
/// Numerics   the same bits as `scan_path_of_operations` forward; gradients in another order of
///            sums.
/// Cost       keeps xz, (r, B, C) and a state a chunk for the gradient, which computes c and the
///            step sizes again: 2 (inner + state) + dt_rank numbers a step, and inner state numbers
///            in each chunk of selective_scan_chunk(state) steps. On a GPU these 2 inner numbers
///            are kept, too.
/// Errors     InvalidArgument if types or shapes disagree. Second derivatives are not offered:
///            asking for them throws c10::Error.
ScanPathOutput scan_path(const ScanPath& in);

/// The same as one operation after the other, each of which keeps what it reads: the form for
/// bfloat16 on the CPU, and for what kernels of a GPU do not offer.
ScanPathOutput scan_path_of_operations(const ScanPath& in);

}  // namespace longwave::mixers::mamba
