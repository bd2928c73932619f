// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/cuda/bulk_copy_cuda.cuh"

namespace longwave::ops::gpu {

// Boxes of operands (tile_map_cuda.h) that the copy engine of Hopper and newer GPUs moves.

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
