// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops::gpu {

/// Where something lies in the block's shared memory, as instructions want it.
__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

}  // namespace longwave::ops::gpu
