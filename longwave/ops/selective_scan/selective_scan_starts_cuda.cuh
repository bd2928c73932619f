// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

namespace longwave::ops::selective_cuda {

/// Marks at which of a tile's steps, those from t of sequence b on, a packed sequence starts; none
/// does beyond the `rows` that are there. Returns whether one does that this thread marked.
template <int kSteps>
__device__ bool mark_own_start(const View<const uint8_t, 2>& starts, int64_t b, int64_t t, int rows,
                               uint8_t (&marks)[kSteps], unsigned thread) {
  bool start = false;
  if (!starts.absent() && thread < kSteps) {
    const int row = static_cast<int>(thread);
    start = row < rows && starts(b, t + row) != 0;
    marks[row] = start;
  }
  return start;
}

/// The same with a barrier of the block; returns whether any does.
template <int kSteps>
__device__ bool mark_starts(const View<const uint8_t, 2>& starts, int64_t b, int64_t t, int rows,
                            uint8_t (&marks)[kSteps]) {
  return __syncthreads_or(mark_own_start(starts, b, t, rows, marks, threadIdx.x));
}

}  // namespace longwave::ops::selective_cuda
