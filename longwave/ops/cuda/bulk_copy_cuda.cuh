// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/async_proxy_cuda.cuh"
#include "longwave/ops/cuda/shared_address_cuda.cuh"
#include "longwave/ops/cuda/turn_barrier_cuda.cuh"

namespace longwave::ops::gpu {

// Copies that one thread begins and that run by themselves, on Hopper and newer GPUs. They see what
// other threads wrote to shared memory behind show_to_async_proxy in each of these and a barrier.

/// Closes the group of this thread's stores.
__device__ inline void close_bulk_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Begins to copy bytes, a multiple of 16, from shared to device memory, and closes the group.
__device__ inline void begin_bulk_store(void* to, const void* shared, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
               "r"(shared_address(shared)), "r"(bytes)
               : "memory");
  close_bulk_stores();
}

/// Waits until all groups of this thread but the last kLeft have read their shared memory.
template <int kLeft = 0>
__device__ void await_bulk_reads() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}

/// Waits until all bulk stores of this thread are done.
__device__ inline void await_bulk_stores() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

/// Makes a barrier that copies and other blocks of a cluster see as well; one thread, before a
/// barrier of the block or the cluster.
__device__ inline void make_shown_turns(TurnBarrier& barrier, int arrivals) {
  make_turns(barrier, arrivals);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Arrives; the turn ends when so many bytes are there. One thread.
__device__ inline void expect_bytes(TurnBarrier& barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
      "r"(bytes)
      : "memory");
}

/// Begins to copy bytes, a multiple of 16, from device to shared memory.
__device__ inline void begin_bulk_load(void* shared, const void* from, int bytes,
                                       TurnBarrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(shared)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}

}  // namespace longwave::ops::gpu
