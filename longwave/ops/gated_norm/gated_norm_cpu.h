// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "longwave/ops/gated_norm/gated_norm.h"

namespace longwave::ops {

/// Pieces that the rows are cut into for sums over them, whatever the number of threads.
inline constexpr int64_t kGatedNormPieces = 32;

/// The float kernels, for adjacent channels.
void gated_norm_cpu(const GatedNormArgs<float>& args);

/// `sums` holds (kGatedNormPieces, channels).
void gated_norm_backward_cpu(const GatedNormGradArgs<float>& args, std::span<float> sums);

}  // namespace longwave::ops
