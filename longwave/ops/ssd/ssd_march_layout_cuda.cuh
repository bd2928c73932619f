// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/ssd/ssd_decay_cuda.cuh"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {

/// What a march through the chunks leaves: the state behind each segment of time, the state before
/// each chunk, or the outputs; the latter two also the state at the end.
enum class SsdMarch { kEnds, kStates, kOutputs };

/// Which way it goes: forwards with the state, or backwards with its adjoint.
enum class SsdWay { kForwards, kBackwards };

/// What the kernels of a march read and write. Forwards, h[t] = decay h[t-1] + d x[t] B[t]^T;
/// backwards, g[t-1] = decay (g[t] + dy[t] C[t]^T), where `signals` is dy and `rows` is C.
template <typename T>
struct SsdMarchLaunch {
  SsdCudaInputs<T> in;
  View<const T, 4> signals;   // (batch, time, heads, head_dim)
  View<const T, 4> rows;      // (batch, time, groups, state)
  View<const float, 4> from;  // (batch, heads, head_dim, state) at the outset, or absent for zero
  View<float, 4> to;          // (batch, heads, head_dim, state) at the end
  View<float, 5> ends;        // (batch, segments, heads, head_dim, state) of kEnds, then carried on
  View<float, 3> totals;      // (batch, segments, heads) log2 of a segment's decay
  View<T, 5> states;          // (batch, chunks, heads, head_dim, state) of kStates
  View<T, 4> y;               // (batch, time, heads, head_dim) of kOutputs
  SsdPlan plan;
  int64_t share;  // heads of a group
  int warps;      // of a head
  bool wide_signals, wide_rows, wide_C, wide_y;
};

namespace ssd_cuda_kernels {

/// The most threads of a block: what leaves each the registers that its part of a state takes.
template <typename T, int kStates>
inline constexpr int kMarchThreads = sizeof(T) == 2 && kStates <= 128 ? 640 : 256;

/// Shared memory of a block: stages of tiles, then what is made of them.
template <typename T, int kStates, SsdMarch kMarch>
struct MarchLayout {
  static constexpr bool kOutputs = kMarch == SsdMarch::kOutputs;
  static constexpr int kSteps = kSsdCudaChunk<T>;
  static constexpr int kRowStride = kStates + gpu::kTilePadding<T>;
  static constexpr int kSignalStride = kSsdColumns + gpu::kTilePadding<T>;
  static constexpr int kWeightStride = kSteps + gpu::kTilePadding<T>;
  // Tiles of 16 x 16 up to the diagonal.
  static constexpr int kAcross = kSteps / 16, kProducts = kAcross * (kAcross + 1) / 2;
  static constexpr int kOutputStride = kSsdRows + (sizeof(T) == 2 ? 0 : 4);
  static constexpr int kRowsTile = kSteps * kRowStride;
  static constexpr int kSignalsTile = kSteps * kSignalStride;
  static constexpr int kWeightsTile = kSteps * kWeightStride;
  static constexpr int kOutputTile = 16 * kOutputStride;

  int heads, warps, stages;  // of the block, of a head, and of tiles: 1 or 2

  __host__ __device__ int stage() const {
    return kRowsTile * (kOutputs ? 2 : 1) + heads * kSignalsTile;
  }
  __host__ __device__ int stage_bytes() const {
    return stages * stage() * static_cast<int>(sizeof(T));
  }
  // Products of C and B^T and, when they are used up, a tile of outputs a warp.
  __host__ __device__ int product_bytes() const {
    if (!kOutputs) return 0;
    const int products = kProducts * 256 * static_cast<int>(sizeof(float));
    const int outputs = heads * warps * kOutputTile * static_cast<int>(sizeof(T));
    return products > outputs ? products : outputs;
  }
  __host__ __device__ int weight_bytes() const {
    return kOutputs ? heads * kWeightsTile * static_cast<int>(sizeof(T)) : 0;
  }
  __host__ __device__ int bytes() const {
    return stage_bytes() + product_bytes() + weight_bytes() +
           2 * heads * static_cast<int>(sizeof(ChunkDecays<kSteps>));
  }
};

}  // namespace ssd_cuda_kernels
}  // namespace longwave::ops
