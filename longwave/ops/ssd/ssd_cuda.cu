// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <array>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/ssd/ssd_cuda.h"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {
namespace {

using ssd_cuda_kernels::kGradWhere, ssd_cuda_kernels::kWhere;

// What forward and backward pass share.
template <typename T>
SsdSize check_inputs(const char* where, const SsdCudaInputs<T>& in) {
  const SsdSize size{.batch = in.x.extent(0),
                     .time = in.x.extent(1),
                     .heads = in.x.extent(2),
                     .head_dim = in.x.extent(3),
                     .groups = in.B.extent(2),
                     .state = in.B.extent(3)};
  require(size.groups == 0 ? size.heads == 0 : size.heads % size.groups == 0, where,
          "groups must divide the heads");
  require_shape(where, "dt", in.dt, {size.batch, size.time, size.heads});
  require_shape(where, "A", in.A, {size.heads});
  require_shape(where, "B", in.B, {size.batch, size.time, size.groups, size.state});
  require_shape(where, "C", in.C, in.B.extents());
  if (!in.D.absent()) {
    require_shape(where, "D", in.D, {size.heads, in.D.extent(1) == 1 ? 1 : size.head_dim});
  }
  if (!in.dt_bias.absent()) require_shape(where, "dt_bias", in.dt_bias, {size.heads});
  if (!in.starts.absent()) require_shape(where, "starts", in.starts, {size.batch, size.time});
  require(in.limits.least >= 0 && in.limits.least <= in.limits.most, where,
          "limits of dt must satisfy 0 <= least <= most");
  require(size.state <= kSsdCudaStates, where, "a channel has too many states");
  return size;
}

std::array<int64_t, 4> state_shape(const SsdSize& size) {
  return {size.batch, size.heads, size.head_dim, size.state};
}

// A gradient is there exactly when its operand is, and has its shape.
template <typename In, typename Out>
void check_optional(const char* name, const In& operand, const Out& gradient) {
  require(operand.absent() == gradient.absent(), kGradWhere,
          "a gradient must be given exactly when its operand is");
  if (!operand.absent()) require_shape(kGradWhere, name, gradient, operand.extents());
}

template <typename T>
SsdSize check(const SsdCudaGradArgs<T>& args) {
  const SsdCudaInputs<T>& in = args.in;
  const SsdSize size = check_inputs(kGradWhere, in);
  const std::array<int64_t, 4> state = state_shape(size);
  if (!args.h0.absent()) require_shape(kGradWhere, "h0", args.h0, state);
  if (!args.dh.absent()) require_shape(kGradWhere, "dh", args.dh, state);
  require_shape(kGradWhere, "dh0", args.dh0, state);
  require_shape(kGradWhere, "dy", args.dy, in.x.extents());
  require_shape(kGradWhere, "dx", args.dx, in.x.extents());
  require_shape(kGradWhere, "ddt", args.ddt, in.dt.extents());
  require_shape(kGradWhere, "dA", args.dA, in.A.extents());
  require_shape(kGradWhere, "dB", args.dB, in.B.extents());
  require_shape(kGradWhere, "dC", args.dC, in.C.extents());
  check_optional("dD", in.D, args.dD);
  check_optional("ddt_bias", in.dt_bias, args.ddt_bias);
  return size;
}

}  // namespace

size_t ssd_plan_bytes(const SsdSize& size, const SsdPlan& plan) {
  if (plan.segments <= 1) return 0;
  const int64_t rows = size.batch * plan.segments * size.heads;
  return gpu::DeviceScratch::bytes(rows * size.head_dim * size.state) +
         gpu::DeviceScratch::bytes(rows);
}

template <typename T>
size_t ssd_cuda_workspace_bytes(const SsdSize& size) {
  return ssd_plan_bytes(size, ssd_scan_plan<T>(size));
}

template <typename T>
void ssd_cuda(const SsdCudaArgs<T>& args, std::span<std::byte> workspace, CUstream_st* stream) {
  const SsdSize size = check_inputs(kWhere, args.in);
  require_shape(kWhere, "h", args.h, state_shape(size));
  require_shape(kWhere, "y", args.y, args.in.x.extents());
  ssd_by_plan(args, ssd_scan_plan<T>(size), workspace, stream);
}

template <typename T>
size_t ssd_cuda_backward_workspace_bytes(const SsdSize& size) {
  return ssd_grad_plan_bytes<T>(size, ssd_grad_plan<T>(size));
}

template <typename T>
void ssd_cuda_backward(const SsdCudaGradArgs<T>& args, std::span<std::byte> workspace,
                       CUstream_st* stream) {
  ssd_grad_by_plan(args, ssd_grad_plan<T>(check(args)), workspace, stream);
}

template size_t ssd_cuda_workspace_bytes<float>(const SsdSize&);
template size_t ssd_cuda_workspace_bytes<__half>(const SsdSize&);
template size_t ssd_cuda_workspace_bytes<__nv_bfloat16>(const SsdSize&);
template void ssd_cuda(const SsdCudaArgs<float>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda(const SsdCudaArgs<__half>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda(const SsdCudaArgs<__nv_bfloat16>&, std::span<std::byte>, CUstream_st*);

template size_t ssd_cuda_backward_workspace_bytes<float>(const SsdSize&);
template size_t ssd_cuda_backward_workspace_bytes<__half>(const SsdSize&);
template size_t ssd_cuda_backward_workspace_bytes<__nv_bfloat16>(const SsdSize&);
template void ssd_cuda_backward(const SsdCudaGradArgs<float>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda_backward(const SsdCudaGradArgs<__half>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda_backward(const SsdCudaGradArgs<__nv_bfloat16>&, std::span<std::byte>,
                                CUstream_st*);

}  // namespace longwave::ops
