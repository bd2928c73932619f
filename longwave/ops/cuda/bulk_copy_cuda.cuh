// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops::gpu {

// Copies that one thread begins and that run by themselves, on Hopper and newer GPUs. They see what
// other threads wrote to shared memory behind fence.proxy.async in each of these and a barrier.

/// Begins to copy bytes, a multiple of 16, from shared to device memory, and closes the group.
__device__ inline void begin_bulk_store(void* to, const void* shared, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
               "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))), "r"(bytes)
               : "memory");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until all bulk stores of this thread have read their shared memory.
__device__ inline void await_bulk_reads() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// Waits until all bulk stores of this thread are done.
__device__ inline void await_bulk_stores() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

}  // namespace longwave::ops::gpu
