// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_grad_layout_cuda.cuh"

namespace longwave::ops {
namespace ssd_cuda_kernels {

/// Steps of a chunk on Hopper, rows of its tiles in shared memory.
inline constexpr int kHopperSteps = 64;

/// What all kernels need to know of the steps of a head in a chunk.
struct alignas(16) StepsOfChunk {
  ChunkDecays<kHopperSteps> decays;
  float raw[kHopperSteps];  // dt with its bias
};

}  // namespace ssd_cuda_kernels

/// What the kernels of a gradient on Hopper read and write. States and adjoints, `common.h` and
/// `common.g`, are 64 rows of 64 or 128 numbers as tiles of shared memory: place_in_tile.
template <typename T>
struct SsdHopperGradLaunch {
  SsdGradLaunch<T> common;
  View<ssd_cuda_kernels::StepsOfChunk, 3> steps;  // (batch, chunks, heads)
};

/// Columns of a state as kept on Hopper.
inline int64_t ssd_hopper_columns(int64_t state) { return state <= 64 ? 64 : 128; }

/// Queues all but the sums over chunks and splits.
template <typename T>
void ssd_grad_on_hopper(const SsdHopperGradLaunch<T>& launch, cudaStream_t stream);

}  // namespace longwave::ops
