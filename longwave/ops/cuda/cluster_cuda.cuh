// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

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

/// A place in an operand of shape (batch, time, channels).
struct BoxPlace {
  int channel, step, batch;
};

/// Sends for a box, which the barrier counts the bytes of; what lies beyond the operand becomes
/// zero. One thread.
__device__ inline void send_for_box(const CUtensorMap& from, const BoxPlace& place, void* to,
                                    TurnBarrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(to)),
      "l"(&from), "r"(shared_address(&barrier)), "r"(place.channel), "r"(place.step),
      "r"(place.batch)
      : "memory");
}

/// Begins to write a box, but for what lies beyond the operand. One thread; see begin_bulk_store.
__device__ inline void store_box(const CUtensorMap& to, const BoxPlace& place, const void* from) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(
          &to),
      "r"(shared_address(from)), "r"(place.channel), "r"(place.step), "r"(place.batch)
      : "memory");
}

}  // namespace longwave::ops::gpu
