// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops::gpu {

// Barriers of parts of a block. A barrier has a number of 1 to 15 (that of __syncthreads is 0) and
// a count of threads, whole warps; what threads wrote before it, the others see behind it. All
// threads of a warp must come, and together, as the instructions want it: so they meet first.

/// Waits until so many threads, with this one, have come to the barrier.
__device__ inline void meet_at(int barrier, int threads) {
  __syncwarp();
  asm volatile("barrier.cta.sync.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// Comes to the barrier without waiting.
__device__ inline void pass_by(int barrier, int threads) {
  __syncwarp();
  asm volatile("barrier.cta.arrive.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

/// meet_at; whether something holds for any of the threads.
__device__ inline bool any_at(int barrier, int threads, bool here) {
  int any;
  __syncwarp();
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

/// Which part of so many threads of the block this thread is in: the same for all of a warp.
__device__ inline int part_of_block(int threads) {
  return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / threads, 0);
}

}  // namespace longwave::ops::gpu
