// SPDX-License-Identifier: Apache-2.0
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/ssd/ssd_check.h"
#include "longwave/ops/ssd/ssd_cuda.h"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {
namespace {

using ssd_cuda_kernels::kGradWhere, ssd_cuda_kernels::kWhere;

// Checks the extents that only a GPU minds.
const SsdSize& checked(const char* where, const SsdSize& size) {
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
  return ssd_plan_bytes(size, ssd_scan_plan<T>(size));
}

template <typename T>
void ssd_cuda(const SsdCudaArgs<T>& args, std::span<std::byte> workspace, CUstream_st* stream) {
  const SsdSize size = checked(kWhere, check_ssd(kWhere, args.in, args));
  ssd_by_plan(args, ssd_scan_plan<T>(size), workspace, stream);
}

template <typename T>
size_t ssd_cuda_backward_workspace_bytes(const SsdSize& size) {
  return ssd_grad_plan_bytes<T>(size, ssd_grad_plan<T>(size));
}

template <typename T>
int64_t ssd_cuda_backward_states() {
  return ssd_grad_most_states<T>(gpu::present_capacity(kGradWhere));
}

template <typename T>
void ssd_cuda_backward(const SsdCudaGradArgs<T>& args, std::span<std::byte> workspace,
                       CUstream_st* stream) {
  const SsdSize size = checked(kGradWhere, check_ssd_gradient(kGradWhere, args.in, args));
  ssd_grad_by_plan(args, ssd_grad_plan<T>(size), workspace, stream);
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
template int64_t ssd_cuda_backward_states<float>();
template int64_t ssd_cuda_backward_states<__half>();
template int64_t ssd_cuda_backward_states<__nv_bfloat16>();
template void ssd_cuda_backward(const SsdCudaGradArgs<float>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda_backward(const SsdCudaGradArgs<__half>&, std::span<std::byte>, CUstream_st*);
template void ssd_cuda_backward(const SsdCudaGradArgs<__nv_bfloat16>&, std::span<std::byte>,
                                CUstream_st*);

}  // namespace longwave::ops
