// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/lti_scan/lti_scan_cuda.h"

namespace longwave::ops {
namespace {

using gpu::device_view_of;
using Complex = std::complex<float>;

LtiScanCudaSize size_of(const LtiScanTensors& in) {
  return {in.u.size(0), in.u.size(1), in.u.size(2), in.a.size(1)};
}

}  // namespace

bool lti_scan_runs_on_device(const torch::Tensor& u) { return gpu::SignalTypes::hold(u); }

void lti_scan_on_device(const LtiScanTensors& in, const LtiScanOutput& out) {
  gpu::SignalTypes::call(in.u, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.u, lti_scan_cuda_workspace_bytes<T>(size_of(in)));
    lti_scan_cuda(LtiScanCudaArgs<T>{.u = device_view_of<const T, 3>(in.u),
                                     .a = device_view_of<const Complex, 2>(in.a),
                                     .c = device_view_of<const Complex, 2>(in.c),
                                     .d = device_view_of<const float, 1>(in.d),
                                     .h = device_view_of<Complex, 3>(out.h),
                                     .y = device_view_of<T, 3>(out.y)},
                  gpu::bytes_of(scratch), gpu::current_stream());
  });
}

void lti_scan_backward_on_device(const LtiScanTensors& in, const LtiScanOutput& d,
                                 const LtiScanTensors& grads) {
  gpu::SignalTypes::call(in.u, [&]<typename T>(std::type_identity<T>) {
    const torch::Tensor scratch =
        gpu::scratch_like(in.u, lti_scan_cuda_backward_workspace_bytes<T>(size_of(in)));
    lti_scan_cuda_backward(LtiScanCudaGradArgs<T>{.u = device_view_of<const T, 3>(in.u),
                                                  .a = device_view_of<const Complex, 2>(in.a),
                                                  .c = device_view_of<const Complex, 2>(in.c),
                                                  .d = device_view_of<const float, 1>(in.d),
                                                  .h0 = device_view_of<const Complex, 3>(in.h0),
                                                  .dy = device_view_of<const T, 3>(d.y),
                                                  .dh = device_view_of<const Complex, 3>(d.h),
                                                  .du = device_view_of<T, 3>(grads.u),
                                                  .da = device_view_of<Complex, 2>(grads.a),
                                                  .dc = device_view_of<Complex, 2>(grads.c),
                                                  .dd = device_view_of<float, 1>(grads.d),
                                                  .dh0 = device_view_of<Complex, 3>(grads.h0)},
                           gpu::bytes_of(scratch), gpu::current_stream());
  });
}

}  // namespace longwave::ops
