// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/base/view.h"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/split_pair_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/lti_scan/lti_plan_cuda.h"

namespace longwave::ops::lti_cuda {

inline constexpr int kChunk = 16;  // steps of one product
inline constexpr int kStage = static_cast<int>(kLtiStage);
inline constexpr int kLines = static_cast<int>(kLtiLines);

// A block has a warp for each channel, and as many channels as a sector of 32 bytes.
template <typename T>
inline constexpr int kChannels = 32 / static_cast<int>(sizeof(T));
template <typename T>
inline constexpr int kThreads = 32 * kChannels<T>;

// bfloat16 that make up a number: products want them one by one.
template <typename T>
inline constexpr int kPlanes = static_cast<int>(sizeof(T)) / 2;

// The lines that a launch runs, `run` segments of each sequence.
struct Lines {
  LtiCut cut;
  int64_t run, batch, time, channels;
  __host__ __device__ int64_t count() const { return batch * run; }
};

struct Line {
  int64_t sequence = 0, segment = 0;
  int length = -1;  // -1 if there is no such line
};

__device__ inline Line line_of(const Lines& lines, int64_t index) {
  if (index >= lines.count()) return {};
  const int64_t sequence = index / lines.run, segment = index % lines.run;
  const int64_t length = min(lines.cut.steps, lines.time - segment * lines.cut.steps);
  return {sequence, segment, static_cast<int>(length)};
}

// Which lines, channels and modes a block works on.
struct Place {
  int64_t first_line, first_channel, group;
};

// Groups of modes lie next to each other, then channels: they share what they read.
template <typename T>
__device__ Place place_of(const Lines& lines, int64_t groups) {
  const int64_t tiles = (lines.channels + kChannels<T> - 1) / kChannels<T>;
  const int64_t block = blockIdx.x / groups;
  return {block / tiles * kLines, block % tiles * kChannels<T>, blockIdx.x % groups};
}

// A constant operand of 16 rows and 8 columns, split in two: high halves above and below row 8,
// then low halves. A lane has one uint4 of it.
template <typename Value>
__device__ uint4 make_tile(const Value& value) {
  const int row = threadIdx.x % 4 * 2;
  const gpu::SplitPair above = gpu::split(value(row), value(row + 1));
  const gpu::SplitPair below = gpu::split(value(row + 8), value(row + 9));
  return make_uint4(above.high, below.high, above.low, below.low);
}

// sum += x w of bfloat16; gpu::left_factor says which elements a lane holds.
__device__ inline void multiply_add(const uint32_t (&x)[4], uint32_t above, uint32_t below,
                                    float (&sum)[4]) {
  gpu::multiply_add(__nv_bfloat16(), x, {above, below}, sum);
}

// sum += x w, without products of two low halves.
template <int kParts>
__device__ void multiply_add(const uint32_t (&x)[kParts][4], const uint4& w, float (&sum)[4]) {
  multiply_add(x[0], w.x, w.y, sum);
  multiply_add(x[0], w.z, w.w, sum);
  if constexpr (kParts == 2) multiply_add(x[1], w.x, w.y, sum);
}

// The same for several operands and sums, in turns: no product waits for the one before it.
template <int kCount, int kParts>
__device__ void multiply_add_all(const uint32_t (&x)[kParts][4], const uint4* w, float (*sums)[4]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) multiply_add(x[0], w[i].x, w[i].y, sums[i]);
#pragma unroll
  for (int i = 0; i < kCount; ++i) multiply_add(x[0], w[i].z, w[i].w, sums[i]);
  if constexpr (kParts == 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) multiply_add(x[1], w[i].x, w[i].y, sums[i]);
  }
}

__device__ inline float2 times(float2 x, float2 y) {
  return make_float2(fmaf(x.x, y.x, -x.y * y.y), fmaf(x.x, y.y, x.y * y.x));
}
// x y + z
__device__ inline float2 times_plus(float2 x, float2 y, float2 z) {
  return make_float2(fmaf(x.x, y.x, fmaf(-x.y, y.y, z.x)), fmaf(x.x, y.y, fmaf(x.y, y.x, z.y)));
}
__device__ inline double2 times(double2 x, double2 y) {
  return make_double2(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x);
}

// The states of a tile of 8 numbers: of mode 4 tile + lane % 4, in lines lane / 4 and 8 further.
__device__ inline float2 state_of(const float (&h)[4], int row) {
  return make_float2(h[2 * row], h[2 * row + 1]);
}
__device__ inline void set_state(float (&h)[4], int row, float2 value) {
  h[2 * row] = value.x;
  h[2 * row + 1] = value.y;
}

}  // namespace longwave::ops::lti_cuda
