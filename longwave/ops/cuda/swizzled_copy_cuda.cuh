// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"

namespace longwave::ops::gpu {

/// Sends 64 rows of kTiles x 64 numbers of 16 bits on their way into tiles as tensor cores read
/// them, with kThreads threads; `count`, a multiple of 8, of each of the first `rows` rows are
/// there, the rest becomes zero.
template <int kThreads, int kTiles, typename T>
__device__ void load_swizzled(const T* from, int64_t row_stride, int rows, int count, T* to) {
  constexpr int kPieces = kTiles * 8;
#pragma unroll
  for (int i = threadIdx.x; i < 64 * kPieces; i += kThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    const bool there = row < rows && piece * 8 < count;
    copy_16_bytes_or_zero(reinterpret_cast<unsigned char*>(to) + piece / 8 * kTileBytes +
                              place_in_tile(row, piece % 8),
                          there ? from + row * row_stride + piece * 8 : from, there);
  }
}

}  // namespace longwave::ops::gpu
