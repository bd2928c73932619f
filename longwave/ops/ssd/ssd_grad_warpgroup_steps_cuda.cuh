// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_grad_steps_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

inline constexpr int kStepsThreads = 256;

/// Of all chunks, a warp each: calls what(place, steps that are there).
template <typename T, typename What>
__device__ void each_chunk(const SsdWarpgroupGradLaunch<T>& launch, What&& what) {
  int64_t index = (int64_t{blockIdx.x} * kStepsThreads + threadIdx.x) / 32;
  if (index >= launch.steps.size()) return;
  const int64_t heads = launch.steps.extent(2), chunks = launch.steps.extent(1);
  ChunkPlace at;
  at.head = index % heads;
  index /= heads;
  at.chunk = index % chunks;
  at.b = index / chunks;
  at.t = at.chunk * kWarpgroupSteps;
  const int64_t left = launch.common.args.in.x.extent(1) - at.t;
  what(at, left < kWarpgroupSteps ? static_cast<int>(left) : kWarpgroupSteps);
}

/// Finds the decays of all chunks.
template <typename T>
__global__ void __launch_bounds__(kStepsThreads)
    warpgroup_steps_kernel(const __grid_constant__ SsdWarpgroupGradLaunch<T> launch) {
  each_chunk(launch, [&](const ChunkPlace& at, int count) {
    const SsdCudaInputs<T>& in = launch.common.args.in;
    StepsOfChunk& to = launch.steps(at.b, at.chunk, at.head);
    const RawSteps<kWarpgroupSteps> raw =
        read_steps<kWarpgroupSteps>(in, at.b, at.t, count, at.head);
    find_decays(in, raw, count, HeadRate(in, at.head), to.decays);
    const float bias = in.dt_bias.absent() ? 0.0f : in.dt_bias(at.head);
#pragma unroll
    for (int i = 0; i < raw.kEach; ++i) {
      to.raw[threadIdx.x % 32 * raw.kEach + i] = raw.dt[i] + bias;
    }
  });
}

/// Finds the gradients of steps from what chunks left.
template <typename T>
__global__ void __launch_bounds__(kStepsThreads)
    warpgroup_finish_kernel(const __grid_constant__ SsdWarpgroupGradLaunch<T> launch) {
  each_chunk(launch, [&](const ChunkPlace& at, int count) {
    const StepsOfChunk& steps = launch.steps(at.b, at.chunk, at.head);
    const SumsOfChunk& sums = launch.sums(at.b, at.chunk, at.head);
    finish_skips(launch.common, at, 0, static_cast<int>(launch.common.args.in.x.extent(3)), sums);
    finish_steps(launch.common, at, count, steps.decays, steps.raw, sums);
  });
}

}  // namespace longwave::ops::ssd_cuda_kernels
