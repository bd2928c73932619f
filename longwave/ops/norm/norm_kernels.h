// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/norm/norm.h"

namespace longwave::ops {

/// The formulas in type T on one thread, for any strides: the judge of the kernels.
template <typename T>
void row_norm_ref(const RowNormArgs<T>& args);
template <typename T>
void row_norm_grad_ref(const RowNormGradArgs<T>& args);
template <typename T>
void channel_moments_ref(const ChannelMomentsArgs<T>& args);
template <typename T>
void channel_affine_ref(const ChannelAffineArgs<T>& args);
template <typename T>
void batch_norm_grad_ref(const BatchNormGradArgs<T>& args);

/// SIMD kernels; every operand needs a unit stride in its last extent.
void row_norm_cpu(const RowNormArgs<float>& args);
void row_norm_grad_cpu(const RowNormGradArgs<float>& args, Workspace& workspace);
void channel_moments_cpu(const ChannelMomentsArgs<float>& args, Workspace& workspace);
void channel_affine_cpu(const ChannelAffineArgs<float>& args);
void batch_norm_grad_cpu(const BatchNormGradArgs<float>& args, Workspace& workspace);

/// Pieces that sums over rows are cut into, whatever the number of threads.
inline constexpr int64_t kNormPieces = 16;

/// dx = gain (dy - (sum + xhat product)), with sum and product divided by the number of rows.
struct BatchNormSlopes {
  const float* gain;     // (channels)
  const float* sum;      // (channels)
  const float* product;  // (channels)
};

/// Rows of channels that the kernels keep for each piece.
inline constexpr int64_t kNormSums = 4;

}  // namespace longwave::ops
