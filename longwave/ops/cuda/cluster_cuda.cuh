// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/bulk_copy_cuda.cuh"

namespace longwave::ops::gpu {

// Blocks of a cluster, which reach into each other's shared memory: Hopper and newer GPUs.

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

/// Comes to the meeting of all threads of the cluster, and waits for the others, which see what
/// this one wrote to shared memory before it came.
__device__ inline void come_to_cluster() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ inline void await_cluster() {
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

/// Sends 16 bytes to a block of the cluster, to an address of address_in_block, where a barrier of
/// that block, at another such address, counts them as bytes that it expects: who waits there in
/// await_turn sees them.
__device__ inline void send_to_block(uint32_t address, const uint32_t (&words)[4],
                                     uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(address),
      "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]), "r"(barrier)
      : "memory");
}

/// Arrives at the barrier that a block of the cluster has in this one's place, to say that a place
/// in memory is free: what the thread wrote is not shown to who waits there.
__device__ inline void arrive_in_cluster(const TurnBarrier& barrier, uint32_t rank) {
  asm volatile(
      "mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(address_in_block(&barrier, rank))
      : "memory");
}

}  // namespace longwave::ops::gpu
