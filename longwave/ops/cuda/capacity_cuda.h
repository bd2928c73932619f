// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"

namespace longwave::ops::gpu {

/// What a GPU offers to the plan of an operator. Tests plan for GPUs that are not there.
struct Capacity {
  int shared_bytes;  ///< of shared memory that a block can have
  int multiprocessors;
};

/// An H100.
inline constexpr Capacity kHopperCapacity{227 * 1024, 132};

/// What the present GPU offers. The driver has it at hand: nothing is gained by keeping it.
inline Capacity present_capacity(const char* where) {
  int device = 0;
  Capacity capacity{};
  require_device(cudaGetDevice(&device), where);
  require_device(cudaDeviceGetAttribute(&capacity.shared_bytes,
                                        cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
                 where);
  require_device(
      cudaDeviceGetAttribute(&capacity.multiprocessors, cudaDevAttrMultiProcessorCount, device),
      where);
  return capacity;
}

/// Throws DeviceError, which says how to `fix` it, if blocks of the present GPU have less shared
/// memory.
inline void require_shared_bytes(int bytes, const char* where, const char* fix) {
  const int most = present_capacity(where).shared_bytes;
  if (bytes <= most) return;
  throw DeviceError(
      {.where = where,
       .what = "a block needs more shared memory than this GPU has for it",
       .got = std::to_string(bytes) + " bytes, of which there are " + std::to_string(most),
       .fix = fix});
}

}  // namespace longwave::ops::gpu
