// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"

// Rows that the threads of a block keep in registers together, kBlockRowShare columns a thread.

namespace longwave::ops::gpu {

inline constexpr int kBlockRowShare = 16;
inline constexpr int kBlockRowThreads = 512;

/// Columns of the longest rows that blocks keep.
inline constexpr int64_t kBlockRowColumns = int64_t{kBlockRowShare} * kBlockRowThreads;

/// Threads of a block that keeps rows of so many columns: whole warps.
inline int block_row_threads(int64_t columns) {
  constexpr int64_t kOfWarp = 32 * kBlockRowShare;
  return static_cast<int>((columns + kOfWarp - 1) / kOfWarp * 32);
}

/// Rows one after the other in a block that adds up over them, at most so many: those with which an
/// H100 has blocks enough to be full once, or a whole number of times.
inline int64_t rows_of_block(int64_t rows, int64_t columns, int64_t most) {
  constexpr int64_t kMultiprocessors = 132, kWarps = 16;  // of rows, that have room in one
  constexpr int64_t kLeast = 4;  // beside which a row of sums in memory is little
  const int64_t warps = std::clamp<int64_t>(block_row_threads(columns) / 32, 1, kWarps);
  const int64_t at_once = kMultiprocessors * (kWarps / warps);
  const int64_t turns = std::max<int64_t>(1, (rows + at_once * most - 1) / (at_once * most));
  return std::max(kLeast, (rows + at_once * turns - 1) / (at_once * turns));
}

/// Calls body(place, column) for the packs of kCount columns that this thread keeps.
template <int kCount, typename Body>
__device__ void over_block_row(int64_t columns, const Body& body) {
#pragma unroll
  for (int i = 0; i < kBlockRowShare / kCount; ++i) {
    const int c = (i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * kCount;
    if (c < columns) body(i, c);
  }
}

/// Adds numbers up over the threads of a block, whole warps; all get the sums. Calls take turns
/// with the room, so that one barrier each is enough.
template <int kSums>
class BlockSum {
 public:
  __device__ void add(float (&x)[kSums]) {
    __shared__ float rooms[2][kSums][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    turn_ = !turn_;
    auto& room = rooms[turn_];
#pragma unroll
    for (int i = 0; i < kSums; ++i) x[i] = add_over_warp(x[i]);
    if (lane == 0) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) room[i][warp] = x[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      x[i] = add_over_warp(lane * 32 < blockDim.x ? room[i][lane] : 0.0f);
    }
  }

 private:
  bool turn_ = false;
};

}  // namespace longwave::ops::gpu
