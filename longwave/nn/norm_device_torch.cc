// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/norm_device_torch.h"

#include "longwave/nn/norm.h"
#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/norm/norm_cuda.h"

namespace longwave::nn {

using ops::gpu::device_view_of;

/// Of what follows the norm; x is float32.
using BranchTypes = ops::gpu::KernelTypes<float, __nv_bfloat16>;

void row_norm_on_device(const RowNormOnDevice& call) {
  BranchTypes::call(call.y, [&]<typename Y>(std::type_identity<Y>) {
    ops::row_norm_cuda(
        ops::RowNormCudaArgs<float, Y>{.kind = call.kind,
                                       .epsilon = kNormEpsilon,
                                       .x = device_view_of<const float, 2>(call.x),
                                       .w = device_view_of<const float, 1>(call.w),
                                       .b = device_view_of<const float, 1>(call.b),
                                       .y = device_view_of<Y, 2>(call.y),
                                       .moments = device_view_of<float, 2>(call.moments),
                                       .branch = device_view_of<const Y, 2>(call.branch),
                                       .sum = device_view_of<float, 2>(call.sum)},
        ops::gpu::current_stream());
  });
}

void row_norm_backward_on_device(const RowNormGradOnDevice& call) {
  BranchTypes::call(call.dy, [&]<typename Y>(std::type_identity<Y>) {
    const torch::Tensor scratch = ops::gpu::scratch_like(
        call.x, ops::row_norm_cuda_backward_workspace_bytes(call.x.size(0), call.x.size(1)));
    ops::row_norm_cuda_backward(
        ops::RowNormCudaGradArgs<float, Y>{.kind = call.kind,
                                           .x = device_view_of<const float, 2>(call.x),
                                           .w = device_view_of<const float, 1>(call.w),
                                           .moments = device_view_of<const float, 2>(call.moments),
                                           .dy = device_view_of<const Y, 2>(call.dy),
                                           .dx = device_view_of<float, 2>(call.dx),
                                           .dw = device_view_of<float, 1>(call.dw),
                                           .db = device_view_of<float, 1>(call.db),
                                           .dsum = device_view_of<const float, 2>(call.dsum),
                                           .dbranch = device_view_of<Y, 2>(call.dbranch)},
        ops::gpu::bytes_of(scratch), ops::gpu::current_stream());
  });
}

}  // namespace longwave::nn
