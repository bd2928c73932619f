// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/bulk_copy_cuda.cuh"

namespace longwave::ops::gpu {

// Blocks of a cluster, which reach into each other's shared memory: Hopper and newer GPUs. Barriers
// order what is read before an arrival and copied after a turn, in other blocks too; a scope of the
// cluster would empty caches as well.

/// Which block of its cluster this one is.
__device__ inline uint32_t cluster_rank() {
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// Where in another block of the cluster lies what this block has at `shared`.
__device__ inline uint32_t address_in_block(const void* shared, uint32_t rank) {
  uint32_t address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(address)
      : "r"(shared_address(shared)), "r"(rank));
  return address;
}

/// Waits for all threads of the cluster; they see what the others wrote to shared memory.
__device__ inline void synchronize_cluster() {
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;" ::
          : "memory");
}

/// Arrives at the barrier that a block of the cluster has in this one's place.
__device__ inline void arrive_in_block(const TurnBarrier& barrier, uint32_t rank) {
  asm volatile(
      "mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(address_in_block(&barrier, rank))
      : "memory");
}

/// Begins to copy bytes, a multiple of 16, to where a block of the cluster has what this block has
/// at `to`, and counts them at the barrier that it has in this one's place. Not to this block
/// itself: compute-sanitizer's memcheck takes that for an error.
__device__ inline void begin_copy_to_block(const void* to, const void* from, int bytes,
                                           const TurnBarrier& barrier, uint32_t rank) {
  asm volatile(
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, "
      "[%3];" ::"r"(address_in_block(to, rank)),
      "r"(shared_address(from)), "r"(bytes), "r"(address_in_block(&barrier, rank))
      : "memory");
}

}  // namespace longwave::ops::gpu
