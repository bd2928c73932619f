// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/block_row_cuda.cuh"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/norm/norm_cuda.h"

// How the norm's kernels go over rows.

namespace longwave::ops::gpu {

/// The threads that see to a row: a warp, and four rows in a block.
struct WarpOfRow {
  static constexpr int kThreads = 128, kRows = kThreads / 32;
  __device__ static int row() { return threadIdx.x / 32; }
  __device__ static int rank() { return threadIdx.x % 32; }
  __device__ static int size() { return 32; }
  static int threads(int64_t) { return kThreads; }

  template <int kSums>
  struct Sum {
    __device__ void add(float (&x)[kSums]) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) x[i] = add_over_warp(x[i]);
    }
  };
};

/// Or a block.
struct BlockOfRow {
  static constexpr int kThreads = kBlockRowThreads, kRows = 1;
  __device__ static int row() { return 0; }
  __device__ static int rank() { return static_cast<int>(threadIdx.x); }
  __device__ static int size() { return static_cast<int>(blockDim.x); }
  static int threads(int64_t columns) {
    return std::min(kBlockRowThreads, block_row_threads(columns));
  }

  template <int kSums>
  using Sum = BlockSum<kSums>;
};

/// How they go over it: in packs of kCount channels, of which a thread keeps kHeld in registers, or
/// none, for rows of any length, which it then reads again.
template <typename Of, int kCount, int kHeld>
struct NormRows {
  using Team = Of;
  static constexpr int kPack = kCount, kKept = kHeld;
  static constexpr bool kKeeps = kHeld > 0;
  using Pack = gpu::Pack<kCount>;
  struct Row {
    Pack packs[kKeeps ? kHeld : 1];
  };

  /// body(pack's place in a Row, its first channel)
  template <typename Body>
  __device__ static void over_row(int64_t channels, const Body& body) {
    if constexpr (kKeeps) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int c = (i * Team::size() + Team::rank()) * kCount;
        if (c < channels) body(i, c);
      }
    } else {
      for (int64_t c = Team::rank() * kCount; c < channels; c += Team::size() * kCount) body(0, c);
    }
  }

  /// Where a pack begins; the channels of packs of more than one are adjacent.
  template <typename T>
  __device__ static T* at(const View<T, 2>& x, int64_t r, int64_t c) {
    if constexpr (kCount == 1) return &x(r, c);
    return x.data() + r * x.stride(0) + c;
  }
  template <typename T>
  __device__ static Pack load(const View<const T, 2>& x, int64_t r, int64_t c) {
    return load_pack<kCount>(at(x, r, c));
  }
  __device__ static Pack load(const View<const float, 1>& x, int64_t c) {
    if constexpr (kCount == 1) return {x(c)};
    return load_pack<kCount>(x.data() + c);
  }
};

/// Channels of the longest rows that the forward pass leaves to a warp where they come in packs,
/// and one by one.
inline constexpr int64_t kNormWarpRow = 768, kNormWarpRowOfAny = 128;

/// Channels of a pack.
inline constexpr int kNormPack = 4;

/// Whether rows of these operands can be gone over in packs.
template <typename... Views>
bool in_norm_packs(int64_t channels, const Views&... views) {
  const auto packed = [channels](const auto& x, int64_t bytes) {
    return x.absent() || in_pieces(x, channels, bytes);
  };
  return (packed(views, kNormPack * sizeof(*views.data())) && ...);
}

/// Calls body(rows) with how blocks go over rows of these operands.
template <typename Body, typename... Views>
void with_block_rows(int64_t channels, const Body& body, const Views&... views) {
  static_assert(kBlockRowColumns == kRowNormCudaHeld);
  const bool kept = channels <= kBlockRowColumns;
  if (in_norm_packs(channels, views...)) {
    if (kept) return body(NormRows<BlockOfRow, kNormPack, kBlockRowShare / kNormPack>());
    return body(NormRows<BlockOfRow, kNormPack, 0>());
  }
  if (kept) return body(NormRows<BlockOfRow, 1, kBlockRowShare>());
  body(NormRows<BlockOfRow, 1, 0>());
}

/// The same of blocks, or of warps where rows are short.
template <typename Body, typename... Views>
void with_norm_rows(int64_t channels, const Body& body, const Views&... views) {
  const bool packs = in_norm_packs(channels, views...);
  if (packs && channels <= kNormWarpRow) {
    return body(NormRows<WarpOfRow, kNormPack, kNormWarpRow / kNormPack / 32>());
  }
  if (!packs && channels <= kNormWarpRowOfAny) {
    return body(NormRows<WarpOfRow, 1, kNormWarpRowOfAny / 32>());
  }
  with_block_rows(channels, body, views...);
}

}  // namespace longwave::ops::gpu
