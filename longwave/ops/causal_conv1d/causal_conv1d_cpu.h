// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "longwave/ops/causal_conv1d/causal_conv1d.h"

namespace longwave::ops {

/// The widest kernel of the SIMD path.
inline constexpr int64_t kConvMaxWidth = 128;
/// Steps that are worked on at once; sums of gradients stay in float32 within them.
inline constexpr int64_t kConvSteps = 256;
/// Channels that are worked on at once, at most.
inline constexpr int64_t kConvTile = 512;
/// Floats of one tile's taps, at most.
inline constexpr int64_t kConvTaps = 4096;

/// Channels of a tile: as many as keep its taps within kConvTaps; a multiple of 16.
constexpr int64_t conv_tile(int64_t width) {
  const int64_t most = kConvTaps / width / 16 * 16;
  return most < kConvTile ? most : kConvTile;
}

constexpr int64_t conv_pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

/// The part of the operands that is worked on at once: some channels and steps of a sequence.
struct ConvTile {
  int64_t sequence;
  int64_t first;  // channel
  int64_t channels;
  int64_t begin, end;  // steps
};

/// The float kernels, for widths up to kConvMaxWidth and adjacent channels.
void causal_conv1d_cpu(const CausalConv1dArgs<float>& args);

/// `sums` holds (batch, pieces of time, width + 1, channels): dw of each tap, then db.
void causal_conv1d_backward_cpu(const CausalConv1dGradArgs<float>& args, std::span<float> sums);

}  // namespace longwave::ops
