// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/ssd/ssd_cuda.h"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "ssd_cuda";

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

}  // namespace

size_t ssd_plan_bytes(const SsdSize& size, const SsdPlan& plan) {
  if (plan.segments <= 1) return 0;
  const int64_t rows = size.batch * plan.segments * size.heads;
  return gpu::DeviceScratch::bytes(rows * size.head_dim * size.state) +
         gpu::DeviceScratch::bytes(rows);
}

template <typename T>
size_t ssd_cuda_workspace_bytes(const SsdSize& size) {
  return ssd_plan_bytes(size, ssd_plan<T>(size));
}

template <typename T>
void ssd_cuda(const SsdCudaArgs<T>& args, std::span<std::byte> workspace, CUstream_st* stream) {
  const SsdSize size = check_inputs(kWhere, args.in);
  require_shape(kWhere, "h", args.h, {size.batch, size.heads, size.head_dim, size.state});
  require_shape(kWhere, "y", args.y, args.in.x.extents());
  ssd_by_plan(args, ssd_plan<T>(size), workspace, stream);
}

template size_t ssd_cuda_workspace_bytes<float>(const SsdSize&);
template size_t ssd_cuda_workspace_bytes<__half>(const SsdSize&);
template size_t ssd_cuda_workspace_bytes<__nv_bfloat16>(const SsdSize&);
template void ssd_cuda(const SsdCudaArgs<float>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda(const SsdCudaArgs<__half>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda(const SsdCudaArgs<__nv_bfloat16>&, std::span<std::byte>, CUstream_st*);

}  // namespace longwave::ops
