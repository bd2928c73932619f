// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"
#include "longwave/ops/ssd/ssd_warpgroup_march_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

template <typename T, int kStates, SsdMarch kMarch>
void launch_warpgroups(const SsdWarpgroupLaunch<T>& launch, cudaStream_t stream) {
  constexpr int kBytes = static_cast<int>(sizeof(WarpgroupMemory<kStates>));
  static_assert(kBytes <= gpu::kHopperCapacity.shared_bytes);
  const auto kernel = warpgroup_march_kernel<T, kStates, kMarch>;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), kWhere);
  const SsdMarchLaunch<T>& march = launch.march;
  const View<const T, 4>& x = march.in.x;
  const int64_t segments = march.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
  const int64_t tiles = (x.extent(3) + kSsdColumns - 1) / kSsdColumns;
  const int64_t shares = (march.share + march.plan.heads - 1) / march.plan.heads;
  const int64_t blocks =
      x.extent(0) * segments * tiles * march.in.B.extent(2) * shares + march.plan.split;
  kernel<<<gpu::blocks_for(blocks, 1, kWhere), kWarpgroupThreads, kBytes, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T>
void launch_on_warpgroups(const SsdWarpgroupLaunch<T>& launch, SsdMarch march,
                          cudaStream_t stream) {
  with_warpgroup_columns(launch.march.in.B.extent(3), [&](auto states) {
    if (march == SsdMarch::kEnds) {
      SsdWarpgroupLaunch<T> whole = launch;
      whole.march.plan.split = 0;
      launch_warpgroups<T, states, SsdMarch::kEnds>(whole, stream);
    } else {
      launch_warpgroups<T, states, SsdMarch::kOutputs>(launch, stream);
    }
  });
}

}  // namespace longwave::ops::ssd_cuda_kernels
