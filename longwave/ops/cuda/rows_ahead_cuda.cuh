// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/block_row_cuda.cuh"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"

namespace longwave::ops::gpu {

/// One operand's row on its way to a block that keeps rows: each thread asks for its own packs
/// while it is busy with the row before, and alone reads them, so that no barrier is needed.
template <typename T, int kCount>
class RowAhead {
 public:
  /// Bytes of shared memory of a block.
  static constexpr int bytes(int threads) {
    return threads * kBlockRowShare * static_cast<int>(sizeof(T));
  }

  /// Takes its memory from the front of `shared`, aligned to 16 bytes.
  __device__ explicit RowAhead(std::byte*& shared)
      : slots_(reinterpret_cast<T*>(shared) + threadIdx.x * kCount) {
    shared += bytes(static_cast<int>(blockDim.x));
  }

  /// Sends the packs of a row of adjacent columns on their way; close_copies() ends the group.
  __device__ void fetch(const T* row, int64_t columns) {
    over_block_row<kCount>(columns, [&](int i, int c) {
      copy_bytes<kCount * sizeof(T)>(slots_ + i * blockDim.x * kCount, row + c);
    });
  }

  /// The pack at a place, once it is there.
  __device__ Pack<kCount> take(int place) const {
    return load_pack<kCount>(slots_ + place * blockDim.x * kCount);
  }

 private:
  template <int kBytes>
  __device__ static void copy_bytes(void* shared, const void* global) {
    if constexpr (kBytes == 16) return copy_16_bytes(shared, global);
    static_assert(kBytes == 8 || kBytes == 16);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address(shared)),
                 "l"(global)
                 : "memory");
  }

  T* slots_;
};

}  // namespace longwave::ops::gpu
