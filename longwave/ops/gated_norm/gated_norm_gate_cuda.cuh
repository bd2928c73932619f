// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/block_row_cuda.cuh"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/gated_norm/gated_norm_cuda.h"

// What the kernels of the gated norm and of its gradient share.

namespace longwave::ops::gpu {

/// Channels of a thread at a time, where they can be read at once.
inline constexpr int kGatedNormPack = 4;

/// Channels of the largest groups that are left to warps, which read them again.
inline constexpr int64_t kGatedNormWarpGroup = 512;

/// Whether a block sees to a group of so many channels, and keeps it in registers.
inline bool block_keeps_group(int64_t channels) {
  return channels > kGatedNormWarpGroup && channels <= kBlockRowColumns;
}

/// The group of a row that this thread's warp sees to, and its channels from the lane's first on.
struct GroupOfWarp {
  static constexpr int kThreads = 128, kGroups = kThreads / 32;  // of a block
  int64_t row, group, first, end;
  bool exists;

  __device__ GroupOfWarp(int64_t rows, int64_t channels, int64_t groups, int pack) {
    const int64_t warp = int64_t{blockIdx.x} * kGroups + threadIdx.x / 32;
    const int64_t size = channels / groups;
    row = warp / groups;
    group = warp % groups;
    first = group * size + threadIdx.x % 32 * pack;
    end = (group + 1) * size;
    exists = row < rows;
  }
};

/// Where packs of kPack channels begin; the channels of packs of more than one are adjacent.
template <int kPack, typename T>
__device__ T* pack_at(const View<T, 2>& x, int64_t r, int64_t c) {
  if constexpr (kPack == 1) return &x(r, c);
  return x.data() + r * x.stride(0) + c;
}
template <int kPack, typename T>
__device__ Pack<kPack> pack_of(const View<const T, 2>& x, int64_t r, int64_t c) {
  return load_pack<kPack>(pack_at<kPack>(x, r, c));
}
template <int kPack>
__device__ Pack<kPack> pack_of(const View<const float, 1>& w, int64_t c) {
  if constexpr (kPack == 1) return {w(c)};
  return load_pack<kPack>(w.data() + c);
}

/// silu(z) and its slope; 1 and 0 where there is no gate.
template <int kPack>
struct Gate {
  Pack<kPack> value, slope;

  Gate() = default;
  __device__ Gate(const Pack<kPack>& z, bool there) {
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float share = sigmoid(z.v[k]);
      value.v[k] = there ? z.v[k] * share : 1.0f;
      slope.v[k] = there ? silu_slope(z.v[k], share) : 0.0f;
    }
  }
};

/// z's pack, or zeros where there is no gate.
template <int kPack, typename T>
__device__ Pack<kPack> pack_of_gate(const View<const T, 2>& z, int64_t r, int64_t c) {
  return z.absent() ? Pack<kPack>{} : pack_of<kPack>(z, r, c);
}

/// Whether threads can take kGatedNormPack channels of all operands at a time.
template <typename T, typename... Views>
bool in_wide_packs(int64_t group, const View<const float, 1>& w, const Views&... views) {
  const auto packed = [group](const auto& x, int64_t bytes) {
    return x.absent() || in_pieces(x, group, bytes);
  };
  return packed(w, kGatedNormPack * sizeof(float)) &&
         (packed(views, kGatedNormPack * sizeof(T)) && ...);
}

}  // namespace longwave::ops::gpu
