// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/ssd/ssd_decay_cuda.cuh"
#include "longwave/ops/ssd/ssd_plan_cuda.h"

namespace longwave::ops {

/// What the kernels of a gradient read and write. With G the adjoint of the state behind a chunk,
/// h the state before it, and within it L[t, s] the decay from step s to step t, a chunk gives
///
///   dx[s] = d[s] (decay G B[s] + sum_t L[t, s] (C[t] B[s]) dy[t]) + D dy[s]
///   dC[t] = sum over heads of decay h^T dy[t] + sum_s L[t, s] d[s] (dy[t] x[s]) B[s]
///   dB[s] = sum over heads of d[s] decay G^T x[s] + sum_t L[t, s] d[s] (dy[t] x[s]) C[t]
///
/// The second sums add their L d (dy x) up over heads first.
template <typename T>
struct SsdGradLaunch {
  SsdCudaGradArgs<T> args;
  View<T, 5> h;            // (batch, chunks, heads, head_dim, state) before each chunk
  View<T, 5> g;            // (batch, chunks, heads, head_dim, state) adjoint behind each chunk
  View<float, 6> inputs;   // (splits, batch, time, groups, 2, state) sums for dB and dC, if cut
  View<float, 3> signals;  // (heads, 2 + skips, batch chunks) sums for dA, ddt_bias and dD
  SsdGradPlan plan;
  int64_t share, chunks, splits, tiles;  // heads of a group; tiles of head_dim
  bool wide_x, wide_dy, wide_B, wide_C, wide_states, paired_dx, paired_dB, paired_dC;
};

namespace ssd_cuda_kernels {

/// What the warps of a block leave of one head, to be added up.
template <typename T>
struct GradSums {
  static constexpr int kSteps = kSsdCudaChunk<T>;
  // Warps are tiles of 16 steps down and a quarter of the columns across.
  static constexpr int kDown = kSteps / 16, kAcross = 4, kWarps = kDown * kAcross;

  float rows[kAcross][kSteps];      // by t: over s < t of L d (C B) (dy x)
  float columns[kDown][kSteps];     // by s: the same over t > s
  float reads[kAcross][kSteps];     // by t: dy times what the state before the chunk gives to y
  float inputs[kAcross][kSteps];    // by s: x times what G gives to dx, but for d
  float signals[kAcross][kSteps];   // by s: x times what all give to dx, but for d
  float states[kWarps];             // G times what is left of h
  float skips[kDown][kSsdColumns];  // by column: dy x
};

/// Shared memory of a block that finds the gradients of a chunk, from kColumns of head_dim at once.
template <typename T, int kStates, int kColumns>
struct GradLayout {
  static constexpr int kSteps = kSsdCudaChunk<T>;
  static constexpr int kAcross = GradSums<T>::kAcross, kWarps = GradSums<T>::kWarps;
  static constexpr int kRowStride = kStates + gpu::kTilePadding<T>;
  static constexpr int kSignalStride = kColumns + gpu::kTilePadding<T>;
  static constexpr int kWeightStride = kSteps + gpu::kTilePadding<T>;
  // The largest states leave room for the tiles of one head only, and so do small GPUs.
  static constexpr int kStages = kStates > 128 || kColumns < kSsdColumns ? 1 : 2;

  struct Stage {
    T x[kSteps * kSignalStride], dy[kSteps * kSignalStride];
    T h[kColumns * kRowStride], g[kColumns * kRowStride];
  };

  alignas(16) T B[kSteps * kRowStride], C[kSteps * kRowStride];
  Stage stages[kStages];
  T weights[kSteps * kWeightStride];
  ChunkDecays<kSteps> decays[2];
  float raw[2][kSteps];  // dt with its bias
  GradSums<T> sums[2];
};

}  // namespace ssd_cuda_kernels
}  // namespace longwave::ops
