// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/base/function_ref.h"

namespace longwave::ops::gpu {

/// Copies a tensor from a GPU to the host, which waits for what is queued so far, but not for what
/// `meanwhile` queues.
///
/// Errors     DeviceError in a build without CUDA.
torch::Tensor to_host(const torch::Tensor& tensor, FunctionRef<void()> meanwhile);

}  // namespace longwave::ops::gpu
