// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/shared_address_cuda.cuh"

namespace longwave::ops::gpu {

// Barriers of parts of a block. A barrier has a number of 1 to 15 (that of __syncthreads is 0) and
// a count of threads, whole warps; what threads wrote before it, the others see behind it.

/// Waits until so many threads, with this one, have come to the barrier.
__device__ inline void meet_at(int barrier, int threads) {
  asm volatile("barrier.cta.sync.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// Comes to the barrier without waiting.
__device__ inline void pass_by(int barrier, int threads) {
  asm volatile("barrier.cta.arrive.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// meet_at; whether something holds for any of the threads.
__device__ inline bool any_at(int barrier, int threads, bool here) {
  int any;
  asm volatile(
      "{\n"
      ".reg .pred here, any;\n"
      "setp.ne.s32 here, %3, 0;\n"
      "barrier.cta.red.or.aligned.pred any, %1, %2, here;\n"
      "selp.s32 %0, 1, 0, any;\n"
      "}\n"
      : "=r"(any)
      : "r"(barrier), "r"(threads), "r"(static_cast<int>(here))
      : "memory");
  return any != 0;
}

/// A barrier in shared memory at which those who wait do not wait for each other: turn after turn,
/// each of which ends when as many warps have arrived as the barrier was made for.
struct alignas(8) TurnBarrier {
  uint64_t bits;
};

/// Makes a barrier; one thread, before a barrier of the block.
__device__ inline void make_turns(TurnBarrier& barrier, int warps) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(warps)
               : "memory");
}

/// Arrives, all threads of a warp together.
__device__ inline void arrive_as_warp(TurnBarrier& barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier))
                 : "memory");
  }
}

// From Hopper on a warp that waits is set aside meanwhile.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define LONGWAVE_AWAIT "test_wait"
#else
#define LONGWAVE_AWAIT "try_wait"
#endif

/// Waits for the end of a turn, of which the first is 0; all threads of a warp together.
__device__ inline void await_as_warp(TurnBarrier& barrier, int turn) {
  int over;
  do {
    asm volatile(
        "{\n"
        ".reg .pred over;\n"
        "mbarrier." LONGWAVE_AWAIT
        ".parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.s32 %0, 1, 0, over;\n"
        "}\n"
        : "=r"(over)
        : "r"(shared_address(&barrier)), "r"(turn % 2)
        : "memory");
  } while (!__all_sync(0xffffffffu, over));  // tells the compiler that the threads stay together
}
#undef LONGWAVE_AWAIT

/// Which part of so many threads of the block this thread is in: the same for all of a warp.
__device__ inline int part_of_block(int threads) {
  return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / threads, 0);
}

}  // namespace longwave::ops::gpu
