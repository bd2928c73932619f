// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"

namespace longwave::ops::gpu {

/// Sends 64 rows of kTiles x 64 numbers of 16 bits on their way into tiles as tensor cores read
/// them; `thread` is one of kThreads that do. `count`, a multiple of 8, of each of the first `rows`
/// rows are there, the rest becomes zero.
template <int kThreads, int kTiles, typename T>
__device__ void load_swizzled(int thread, const T* from, int64_t row_stride, int rows, int count,
                              T* to) {
  constexpr int kPieces = kTiles * 8, kTurns = 64 * kPieces / kThreads;
  static_assert(64 * kPieces % kThreads == 0 && kThreads % kPieces == 0);
  const int piece = thread % kPieces, first = thread / kPieces;
  const int there = piece * 8 < count ? rows : 0;
  auto* const column = reinterpret_cast<unsigned char*>(to) + piece / 8 * kTileBytes;
  from += first * row_stride + piece * 8;
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int row = first + turn * (kThreads / kPieces);
    copy_16_bytes_or_zero(column + place_in_tile(row, piece % 8), from, row < there);
    from += kThreads / kPieces * row_stride;
  }
}

}  // namespace longwave::ops::gpu
