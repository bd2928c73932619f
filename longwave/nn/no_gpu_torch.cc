// SPDX-License-Identifier: Apache-2.0

/// What stands in for the backends of a GPU in a build without them.

#include "longwave/nn/dropout_device_torch.h"
#include "longwave/nn/norm_device_torch.h"
#include "longwave/ops/cuda/device_torch.h"

namespace longwave::nn {

void dropout_mask_on_device(const Dropout&, const torch::Tensor&) {
  ops::gpu::refuse_device("dropout");
}
void row_norm_on_device(const RowNormOnDevice&) { ops::gpu::refuse_device("norm"); }
void row_norm_backward_on_device(const RowNormGradOnDevice&) { ops::gpu::refuse_device("norm"); }

}  // namespace longwave::nn
