// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/linear_scan/linear_scan_cuda.h"

namespace longwave::ops {
namespace {

using gpu::device_view_of;
using torch::Tensor;
using LinearScanTypes = gpu::KernelTypes<float, __nv_bfloat16, __half, std::complex<float>>;

struct Scratch {
  explicit Scratch(const Tensor& signal)
      : size{signal.size(0), signal.size(1), signal.size(2)},
        segments(linear_scan_segments(size)),
        memory(gpu::scratch_like(signal, linear_scan_cuda_workspace_bytes(size, segments))) {}
  LinearScanCudaSize size;
  int64_t segments;
  Tensor memory;
};

}  // namespace

bool linear_scan_runs_on_device(const torch::Tensor& b) { return LinearScanTypes::hold(b); }

void linear_scan_on_device(const Tensor& a, const Tensor& b, const Tensor& h0,
                           const LinearScanOutput& out) {
  LinearScanTypes::call(b, [&]<typename T>(std::type_identity<T>) {
    using State = LinearScanState<T>;
    const Scratch scratch(b);
    linear_scan_cuda(LinearScanCudaArgs<T>{.a = device_view_of<const T, 3>(a),
                                           .b = device_view_of<const T, 3>(b),
                                           .h0 = device_view_of<const State, 2>(h0),
                                           .h = device_view_of<T, 3>(out.h),
                                           .final = device_view_of<State, 2>(out.final)},
                     scratch.segments, gpu::bytes_of(scratch.memory), gpu::current_stream());
  });
}

void linear_scan_backward_on_device(const LinearScanSaved& in, const LinearScanGradients& out) {
  LinearScanTypes::call(in.h, [&]<typename T>(std::type_identity<T>) {
    using State = LinearScanState<T>;
    const Scratch scratch(in.h);
    linear_scan_cuda_backward(
        LinearScanCudaGradArgs<T>{.a = device_view_of<const T, 3>(in.a),
                                  .h = device_view_of<const T, 3>(in.h),
                                  .h0 = device_view_of<const State, 2>(in.h0),
                                  .dh = device_view_of<const T, 3>(in.dh),
                                  .dfinal = device_view_of<const State, 2>(in.dfinal),
                                  .da = device_view_of<T, 3>(out.a),
                                  .db = device_view_of<T, 3>(out.b),
                                  .dh0 = device_view_of<State, 2>(out.h0)},
        scratch.segments, gpu::bytes_of(scratch.memory), gpu::current_stream());
  });
}

}  // namespace longwave::ops
