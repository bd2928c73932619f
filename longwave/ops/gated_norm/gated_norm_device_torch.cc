// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/gated_norm/gated_norm_cuda.h"

namespace longwave::ops {

using gpu::device_view_of;

bool gated_norm_runs_on_device(const torch::Tensor& x) { return gpu::SignalTypes::hold(x); }

void gated_norm_on_device(const GatedNormOnDevice& call) {
  gpu::SignalTypes::call(call.x, [&]<typename T>(std::type_identity<T>) {
    gated_norm_cuda(GatedNormCudaArgs<T>{.order = call.order,
                                         .groups = call.inverse.size(1),
                                         .epsilon = static_cast<float>(call.epsilon),
                                         .x = device_view_of<const T, 2>(call.x),
                                         .z = device_view_of<const T, 2>(call.z),
                                         .w = device_view_of<const float, 1>(call.w),
                                         .y = device_view_of<T, 2>(call.y),
                                         .inverse = device_view_of<float, 2>(call.inverse)},
                    gpu::current_stream());
  });
}

void gated_norm_backward_on_device(const GatedNormGradOnDevice& call) {
  gpu::SignalTypes::call(call.x, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch = gpu::scratch_like(
        call.x, gated_norm_cuda_backward_workspace_bytes(call.x.size(0), call.x.size(1)));
    gated_norm_cuda_backward(
        GatedNormCudaGradArgs<T>{.order = call.order,
                                 .x = device_view_of<const T, 2>(call.x),
                                 .z = device_view_of<const T, 2>(call.z),
                                 .w = device_view_of<const float, 1>(call.w),
                                 .inverse = device_view_of<const float, 2>(call.inverse),
                                 .dy = device_view_of<const T, 2>(call.dy),
                                 .dx = device_view_of<T, 2>(call.dx),
                                 .dz = device_view_of<T, 2>(call.dz),
                                 .dw = device_view_of<float, 1>(call.dw)},
        gpu::bytes_of(scratch), gpu::current_stream());
  });
}

}  // namespace longwave::ops
