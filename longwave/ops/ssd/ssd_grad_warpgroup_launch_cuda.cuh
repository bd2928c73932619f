// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/ssd/ssd_grad_warpgroup_chunk_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_states_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_steps_cuda.cuh"

namespace longwave::ops {
namespace ssd_cuda_kernels {

/// Queues a kernel whose blocks have `Shared` as their shared memory.
template <typename Shared, typename Launch>
void launch_warpgroup_kernel(void (*kernel)(Launch), int64_t blocks, int threads,
                             const Launch& launch, cudaStream_t stream) {
  static_assert(sizeof(Shared) <= gpu::kHopperCapacity.shared_bytes);
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)),
      kGradWhere);
  kernel<<<gpu::blocks_for(blocks, 1, kGradWhere), threads, sizeof(Shared), stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

template <typename T, int kStates>
void launch_warpgroup_kernels(const SsdWarpgroupGradLaunch<T>& launch, cudaStream_t stream) {
  const int64_t marches = 2 * launch.steps.extent(0) * launch.steps.extent(2);
  launch_warpgroup_kernel<WarpgroupGradMarchLayout<T, kStates>>(
      warpgroup_grad_march_kernel<T, kStates>, marches, gpu::kWarpgroup, launch, stream);
  using Block = WarpgroupGradBlock<T, kStates>;
  const int64_t blocks = launch.steps.extent(0) * launch.steps.extent(1) *
                         launch.common.args.in.B.extent(2) * launch.common.splits;
  launch_warpgroup_kernel<typename Block::Shared>(warpgroup_gradient_kernel<T, kStates>, blocks,
                                                  Block::kThreads, launch, stream);
}

}  // namespace ssd_cuda_kernels

template <typename T>
void ssd_grad_on_warpgroups(const SsdWarpgroupGradLaunch<T>& launch, cudaStream_t stream) {
  using namespace ssd_cuda_kernels;
  const unsigned blocks = gpu::blocks_for(launch.steps.size(), kStepsThreads / 32, kGradWhere);
  warpgroup_steps_kernel<T><<<blocks, kStepsThreads, 0, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
  with_warpgroup_columns(launch.common.args.in.B.extent(3),
                         [&](auto states) { launch_warpgroup_kernels<T, states>(launch, stream); });
  warpgroup_finish_kernel<T><<<blocks, kStepsThreads, 0, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

}  // namespace longwave::ops
