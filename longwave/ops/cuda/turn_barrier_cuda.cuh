// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/shared_address_cuda.cuh"

namespace longwave::ops::gpu {

/// A barrier in shared memory at which those who wait do not wait for each other: turn after turn,
/// of which the first is 0. A turn ends when as many have arrived as the barrier was made for and
/// the bytes that they expect (bulk_copy_cuda.cuh) are there.
struct alignas(8) TurnBarrier {
  uint64_t bits;
};

/// Makes a barrier; one thread, before a barrier of the block.
__device__ inline void make_turns(TurnBarrier& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(arrivals)
               : "memory");
}

/// Arrives, each thread for itself: where one arrives for others of its warp, compute-sanitizer's
/// racecheck does not see that what they wrote comes before.
__device__ inline void arrive(TurnBarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier))
               : "memory");
}

// From Hopper on a warp that waits is set aside meanwhile.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define LONGWAVE_AWAIT "test_wait"
#else
#define LONGWAVE_AWAIT "try_wait"
#endif

/// Waits for the end of a turn; all threads of a warp together, which the compiler then knows.
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
  } while (!__all_sync(0xffffffffu, over));
}

/// The same, each thread by itself: a loop that the compiler doesn't see, and so cannot copy.
__device__ inline void await_turn(TurnBarrier& barrier, int turn) {
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "again:\n"
      "mbarrier." LONGWAVE_AWAIT
      ".parity.shared::cta.b64 over, [%0], %1;\n"
      "@!over bra again;\n"
      "}\n" ::"r"(shared_address(&barrier)),
      "r"(turn % 2)
      : "memory");
}
#undef LONGWAVE_AWAIT

}  // namespace longwave::ops::gpu
