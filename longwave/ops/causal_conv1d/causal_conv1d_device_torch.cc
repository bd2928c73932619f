// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_device_torch.h"

#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/cuda/device_torch.h"

namespace longwave::ops {

using gpu::device_view_of;

bool causal_conv1d_runs_on_device(const torch::Tensor& x, int64_t width) {
  return gpu::SignalTypes::hold(x) && width <= kCausalConv1dCudaWidth;
}

void causal_conv1d_on_device(const CausalConv1dInput& in, const CausalConv1dOutput& out) {
  gpu::SignalTypes::call(in.x, [&]<typename T>(std::type_identity<T>) {
    causal_conv1d_cuda(
        CausalConv1dCudaArgs<T>{.activation = in.activation,
                                .x = device_view_of<const T, 3>(in.x),
                                .w = device_view_of<const float, 2>(in.w),
                                .b = device_view_of<const float, 1>(in.b),
                                .history = device_view_of<const T, 3>(in.history),
                                .starts = device_view_of<const uint8_t, 2>(in.starts),
                                .y = device_view_of<T, 3>(out.y),
                                .final_history = device_view_of<T, 3>(out.history)},
        gpu::current_stream());
  });
}

void causal_conv1d_backward_on_device(const CausalConv1dInput& in, const CausalConv1dOutput& grad,
                                      const CausalConv1dInput& out) {
  gpu::SignalTypes::call(in.x, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.x, causal_conv1d_cuda_backward_workspace_bytes(
                                    {in.x.size(0), in.x.size(1), in.x.size(2), in.w.size(1)}));
    causal_conv1d_cuda_backward(
        CausalConv1dCudaGradArgs<T>{.activation = in.activation,
                                    .x = device_view_of<const T, 3>(in.x),
                                    .w = device_view_of<const float, 2>(in.w),
                                    .b = device_view_of<const float, 1>(in.b),
                                    .history = device_view_of<const T, 3>(in.history),
                                    .starts = device_view_of<const uint8_t, 2>(in.starts),
                                    .dy = device_view_of<const T, 3>(grad.y),
                                    .dfinal = device_view_of<const T, 3>(grad.history),
                                    .dx = device_view_of<T, 3>(out.x),
                                    .dw = device_view_of<float, 2>(out.w),
                                    .db = device_view_of<float, 1>(out.b),
                                    .dhistory = device_view_of<T, 3>(out.history)},
        gpu::bytes_of(scratch), gpu::current_stream());
  });
}

}  // namespace longwave::ops
