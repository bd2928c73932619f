// SPDX-License-Identifier: Apache-2.0
#include <c10/cuda/CUDAStream.h>

#include "longwave/ops/cuda/device_torch.h"

namespace longwave::ops::gpu {

CUstream_st* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

}  // namespace longwave::ops::gpu
