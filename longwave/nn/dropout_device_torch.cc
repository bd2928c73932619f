// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/dropout_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/dropout/dropout_cuda.h"

namespace longwave::nn {

void dropout_mask_on_device(const Dropout& dropout, const torch::Tensor& mask) {
  ops::gpu::KernelTypes<float>::call(mask, [&](auto) {
    ops::dropout_mask_cuda({.rate = dropout.rate,
                            .seed = ops::gpu::device_view_of<const int64_t, 1>(dropout.seed),
                            .place = dropout.stream,
                            .mask = ops::gpu::device_view_of<float, 1>(mask.view({-1}))},
                           ops::gpu::current_stream());
  });
}

}  // namespace longwave::nn
