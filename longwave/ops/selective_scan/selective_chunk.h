// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops {

/// Lanes of a tile: adjacent channels of one group of one sequence, the last tile with fewer.
inline constexpr int64_t kTileLanes = 16;
/// Steps of the longest chunk.
inline constexpr int64_t kMaxSelectiveChunk = 64;
/// Panels hold states in whole multiples of this; the void ones at the end are zero.
inline constexpr int64_t kStateMultiple = 4;

/// Some steps of a strided operand: the numbers of a step lie `stride` apart, steps `step`.
template <typename T>
struct StepRows {
  T* at = nullptr;
  int64_t step = 0;
  int64_t stride = 0;

  T* row(int64_t t) const { return at + t * step; }
};

/// What the kernels of a tile read in one chunk of its steps.
struct SelectiveChunk {
  StepSize step_size = StepSize::kSoftplus;
  int64_t time = 0;
  int64_t channels = 0;  // at most kTileLanes
  int64_t state = 0;
  StepRows<const float> u, dt;       // (time, channels)
  StepRows<const float> z;           // the same, or null
  StepRows<const float> B, C;        // (time, state)
  StepRows<const uint8_t> starts;    // (time), or null
  const float* A = nullptr;          // [state, padded][kTileLanes] A / ln 2
  const float* D = nullptr;          // [kTileLanes]
  const float* dt_bias = nullptr;    // [kTileLanes]
  int64_t soon = 0, soon_count = 0;  // rows to fetch: `soon_count`, from this many steps ahead
};

struct SelectiveForwardChunk {
  SelectiveChunk in;
  float* h = nullptr;  // [state, padded][kTileLanes] in and out
  StepRows<float> y;   // (time, channels) out
};
void selective_forward_chunk(const SelectiveForwardChunk& chunk);

struct SelectiveBackwardChunk {
  SelectiveChunk in;
  StepRows<const float> h;      // (state, channels) before the chunk: steps are states here
  int64_t h_soon = 0;           // from there to the row to fetch
  StepRows<const float> dy;     // (time, channels)
  float* g = nullptr;           // [state, padded][kTileLanes] in: of the last state, out: of h
  StepRows<float> du, ddt, dz;  // (time, channels) out; dz null if z is
  float* dB = nullptr;          // [time][state, padded] +=
  float* dC = nullptr;          // the same
  double* dA = nullptr;         // [state, padded][kTileLanes] +=
  double* dD = nullptr;         // [kTileLanes] +=
  double* ddt_bias = nullptr;   // [kTileLanes] +=
};
void selective_backward_chunk(const SelectiveBackwardChunk& chunk);

/// One step of one tile; `in.A` is not used but `A`.
struct SelectiveStep {
  SelectiveChunk in;
  StepRows<const float> A;  // (channels, state)
  StepRows<float> h;        // (channels, state) in and out
  StepRows<float> y;        // (1, channels) out
};
void selective_step(const SelectiveStep& step);

}  // namespace longwave::ops
