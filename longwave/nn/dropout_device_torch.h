// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/nn/dropout_torch.h"

namespace longwave::nn {

/// Queues dropout_mask_cuda on torch's stream: seed and mask, dense float32, are on a GPU.
///
/// Errors     DeviceError in a build without CUDA.
void dropout_mask_on_device(const Dropout& dropout, const torch::Tensor& mask);

}  // namespace longwave::nn
