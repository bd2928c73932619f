// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/selective_scan/selective_scan_cuda.h"

namespace longwave::ops {

bool selective_scan_runs_on_device(const torch::Tensor& u) { return gpu::SignalTypes::hold(u); }

int64_t selective_scan_device_states() {
  return torch::GradMode::is_enabled() ? kSelectiveScanCudaGradStates : kSelectiveScanCudaStates;
}

namespace {

using gpu::device_view_of;

template <typename T>
SelectiveScanCudaInputs<T> views(const SelectiveScanTensors& in) {
  return {.step_size = in.step_size,
          .u = device_view_of<const T, 3>(in.u),
          .dt = device_view_of<const T, 3>(in.dt),
          .A = device_view_of<const float, 2>(in.A),
          .B = device_view_of<const T, 4>(in.B),
          .C = device_view_of<const T, 4>(in.C),
          .D = device_view_of<const float, 1>(in.D),
          .dt_bias = device_view_of<const float, 1>(in.dt_bias),
          .z = device_view_of<const T, 3>(in.z),
          .starts = device_view_of<const uint8_t, 2>(in.starts)};
}

SelectiveScanCudaSize size_of(const SelectiveScanTensors& in) {
  return {in.u.size(0), in.u.size(1), in.u.size(2), in.B.size(2), in.A.size(1)};
}

}  // namespace

void selective_scan_on_device(const SelectiveScanTensors& in, const SelectiveScanOutput& out,
                              const torch::Tensor& states) {
  gpu::SignalTypes::call(in.u, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.u, selective_scan_cuda_workspace_bytes(size_of(in)));
    selective_scan_cuda(SelectiveScanCudaArgs<T>{.in = views<T>(in),
                                                 .h = device_view_of<float, 3>(out.h),
                                                 .y = device_view_of<T, 3>(out.y),
                                                 .states = device_view_of<float, 4>(states)},
                        gpu::bytes_of(scratch), gpu::current_stream());
  });
}

void selective_scan_backward_on_device(const SelectiveScanTensors& in, const torch::Tensor& states,
                                       const SelectiveScanOutput& d,
                                       const SelectiveScanTensors& grads) {
  gpu::SignalTypes::call(in.u, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.u, selective_scan_cuda_backward_workspace_bytes(size_of(in)));
    selective_scan_cuda_backward(
        SelectiveScanCudaGradArgs<T>{.in = views<T>(in),
                                     .states = device_view_of<const float, 4>(states),
                                     .dy = device_view_of<const T, 3>(d.y),
                                     .dh = device_view_of<const float, 3>(d.h),
                                     .du = device_view_of<T, 3>(grads.u),
                                     .ddt = device_view_of<T, 3>(grads.dt),
                                     .dA = device_view_of<float, 2>(grads.A),
                                     .dB = device_view_of<T, 4>(grads.B),
                                     .dC = device_view_of<T, 4>(grads.C),
                                     .dD = device_view_of<float, 1>(grads.D),
                                     .ddt_bias = device_view_of<float, 1>(grads.dt_bias),
                                     .dz = device_view_of<T, 3>(grads.z),
                                     .dh0 = device_view_of<float, 3>(grads.h0)},
        gpu::bytes_of(scratch), gpu::current_stream());
  });
}

}  // namespace longwave::ops
