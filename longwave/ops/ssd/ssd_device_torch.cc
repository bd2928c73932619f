// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/ssd/ssd_cuda.h"

namespace longwave::ops {

namespace {

using gpu::device_view_of;

template <typename T>
SsdCudaInputs<T> views(const SsdInput& in) {
  return {.x = device_view_of<const T, 4>(in.x),
          .dt = device_view_of<const T, 3>(in.dt),
          .A = device_view_of<const float, 1>(in.A),
          .B = device_view_of<const T, 4>(in.B),
          .C = device_view_of<const T, 4>(in.C),
          .D = device_view_of<const float, 2>(in.D),
          .dt_bias = device_view_of<const float, 1>(in.dt_bias),
          .starts = device_view_of<const uint8_t, 2>(in.starts),
          .limits = {static_cast<float>(in.dt_min), static_cast<float>(in.dt_max)}};
}

SsdSize size_of(const SsdInput& in) {
  return {.batch = in.x.size(0),
          .time = in.x.size(1),
          .heads = in.x.size(2),
          .head_dim = in.x.size(3),
          .groups = in.B.size(2),
          .state = in.B.size(3)};
}

}  // namespace

bool ssd_runs_on_device(const torch::Tensor& x, int64_t state) {
  bool room = false;
  if (!gpu::SignalTypes::hold(x)) return room;
  gpu::SignalTypes::call(
      x, [&]<typename T>(std::type_identity<T>) { room = state <= ssd_cuda_backward_states<T>(); });
  return room;
}

void ssd_on_device(const SsdInput& in, const SsdOutput& out) {
  gpu::SignalTypes::call(in.x, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch = gpu::scratch_like(in.x, ssd_cuda_workspace_bytes<T>(size_of(in)));
    ssd_cuda(SsdCudaArgs<T>{.in = views<T>(in),
                            .h = device_view_of<float, 4>(out.h),
                            .y = device_view_of<T, 4>(out.y)},
             gpu::bytes_of(scratch), gpu::current_stream());
  });
}

void ssd_backward_on_device(const SsdInput& in, const SsdOutput& d, const SsdInput& grads) {
  gpu::SignalTypes::call(in.x, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.x, ssd_cuda_backward_workspace_bytes<T>(size_of(in)));
    ssd_cuda_backward(SsdCudaGradArgs<T>{.in = views<T>(in),
                                         .h0 = device_view_of<const float, 4>(in.h0),
                                         .dy = device_view_of<const T, 4>(d.y),
                                         .dh = device_view_of<const float, 4>(d.h),
                                         .dx = device_view_of<T, 4>(grads.x),
                                         .ddt = device_view_of<T, 3>(grads.dt),
                                         .dA = device_view_of<float, 1>(grads.A),
                                         .dB = device_view_of<T, 4>(grads.B),
                                         .dC = device_view_of<T, 4>(grads.C),
                                         .dD = device_view_of<float, 2>(grads.D),
                                         .ddt_bias = device_view_of<float, 1>(grads.dt_bias),
                                         .dh0 = device_view_of<float, 4>(grads.h0)},
                      gpu::bytes_of(scratch), gpu::current_stream());
  });
}

}  // namespace longwave::ops
