// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/cuda/bulk_copy_cuda.cuh"
#include "longwave/ops/cuda/shared_address_cuda.cuh"

namespace longwave::ops::gpu {

// Hopper's copy engine brings tiles of 64 rows to shared memory as warpgroup_cuda.cuh wants them.

/// A place in an operand of shape (batch, time, heads or groups, columns).
struct TilePlace {
  int column, which, step, batch;
};

/// Sends for a tile, 8192 bytes; what lies beyond the operand becomes zero. One thread.
__device__ inline void send_for_tile(const CUtensorMap& from, const TilePlace& place, void* to,
                                     TurnBarrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
      "l"(&from), "r"(shared_address(&barrier)), "r"(place.column), "r"(place.which),
      "r"(place.step), "r"(place.batch)
      : "memory");
}

/// Begins to write a tile, but for what lies beyond the operand. One thread; see begin_bulk_store.
__device__ inline void store_tile(const CUtensorMap& to, const TilePlace& place, const void* from) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::
          "l"(&to),
      "r"(shared_address(from)), "r"(place.column), "r"(place.which), "r"(place.step),
      "r"(place.batch)
      : "memory");
}

}  // namespace longwave::ops::gpu
