// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_grad_layout_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_extents_cuda.h"

namespace longwave::ops {
namespace ssd_cuda_kernels {

/// What all kernels need to know of the steps of a head in a chunk.
struct alignas(16) StepsOfChunk {
  ChunkDecays<kWarpgroupSteps> decays;
  float raw[kWarpgroupSteps];  // dt with its bias
};

/// What a chunk leaves of a head for the gradients of its steps and skips; as GradSums.
struct alignas(16) SumsOfChunk {
  float less[kWarpgroupSteps];    // by step: what it reads, less what it gives to later ones
  float behind[kWarpgroupSteps];  // by step: what it gives behind the chunk
  float signals[1][kWarpgroupSteps];
  float skips[1][kSsdColumns];
  float states[8];
};

__device__ inline float read_less_given(const SumsOfChunk& from, int t) { return from.less[t]; }
template <int kSteps>
__device__ float given_behind(const SumsOfChunk& from, const ChunkDecays<kSteps>&, int t) {
  return from.behind[t];
}

}  // namespace ssd_cuda_kernels

/// What the kernels of a gradient on warpgroups read and write. States and adjoints, `common.h` and
/// `common.g`, are 64 rows of 64 or 128 numbers as tiles of shared memory: place_in_tile.
template <typename T>
struct SsdWarpgroupGradLaunch {
  static_assert(ssd_cuda_kernels::kWarpgroupSteps == kSsdCudaChunk<T>);
  SsdGradLaunch<T> common;
  View<ssd_cuda_kernels::StepsOfChunk, 3> steps;  // (batch, chunks, heads)
  View<ssd_cuda_kernels::SumsOfChunk, 3> sums;    // likewise
};

/// Queues all but the sums over chunks and splits.
template <typename T>
void ssd_grad_on_warpgroups(const SsdWarpgroupGradLaunch<T>& launch, cudaStream_t stream);

}  // namespace longwave::ops
