// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/peak_memory_torch.h"

#include <c10/cuda/CUDACachingAllocator.h>

namespace longwave::ops::gpu {

int64_t peak_bytes() {
  // The first of the counters is that of all sizes together.
  return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0].peak;
}

}  // namespace longwave::ops::gpu
