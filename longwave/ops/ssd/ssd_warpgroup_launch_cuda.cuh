// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"
#include "longwave/ops/ssd/ssd_warpgroup_march_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

template <typename T, int kStates, SsdMarch kMarch, int kBlocks>
void launch_warpgroups(const SsdWarpgroupLaunch<T>& launch, cudaStream_t stream) {
  constexpr int kBytes = WarpgroupLayout<kStates, kMarch, kBlocks>::kBytes;
  const auto kernel = warpgroup_march_kernel<T, kStates, kMarch, kBlocks>;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), kWhere);
  const View<const T, 4>& x = launch.march.in.x;
  const int64_t segments = launch.march.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
  const int64_t tiles = (x.extent(3) + kSsdColumns - 1) / kSsdColumns;
  const int64_t blocks = x.extent(0) * segments * tiles * x.extent(2);
  kernel<<<gpu::blocks_for(blocks, 1, kWhere), gpu::kWarpgroup, kBytes, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T, int kStates, SsdMarch kMarch>
void launch_warpgroups(const SsdWarpgroupLaunch<T>& launch, cudaStream_t stream) {
  if (launch.march.plan.blocks == 2) {
    launch_warpgroups<T, kStates, kMarch, 2>(launch, stream);
  } else {
    launch_warpgroups<T, kStates, kMarch, 3>(launch, stream);
  }
}

template <typename T, SsdMarch kMarch>
void launch_warpgroups(const SsdWarpgroupLaunch<T>& launch, cudaStream_t stream) {
  with_warpgroup_columns(launch.march.in.B.extent(3), [&](auto states) {
    launch_warpgroups<T, states, kMarch>(launch, stream);
  });
}

template <typename T>
void launch_on_warpgroups(const SsdWarpgroupLaunch<T>& launch, SsdMarch march,
                          cudaStream_t stream) {
  if (march == SsdMarch::kEnds) {
    launch_warpgroups<T, SsdMarch::kEnds>(launch, stream);
  } else {
    launch_warpgroups<T, SsdMarch::kOutputs>(launch, stream);
  }
}

}  // namespace longwave::ops::ssd_cuda_kernels
