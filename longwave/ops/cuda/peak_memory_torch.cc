// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/peak_memory_torch.h"

#include "longwave/ops/cuda/device_torch.h"

#ifdef LONGWAVE_TORCH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace longwave::ops::gpu {

int64_t peak_bytes() {
#ifdef LONGWAVE_TORCH_CUDA
  // The first of the counters is that of all sizes together.
  return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0].peak;
#else
  refuse_device("peak_bytes");
#endif
}

}  // namespace longwave::ops::gpu
