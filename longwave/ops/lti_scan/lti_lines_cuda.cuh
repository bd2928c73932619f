// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/base/view.h"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/split_pair_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/lti_scan/lti_plan_cuda.h"

namespace longwave::ops::lti_cuda {

// bfloat16 that make up a number: products want them one by one. A float16 is exactly the sum of
// two.
template <typename T>
inline constexpr int kPlanes = 2;
template <>
inline constexpr int kPlanes<__nv_bfloat16> = 1;

inline constexpr int kStep = 16;  // steps, numbers or lines of one product
inline constexpr int kStage = static_cast<int>(kLtiStage);

// How a block shares its work: a warp for 16 lines of a channel, and so many products of 16 steps
// from one state to the next.
template <typename T, int kChannelsOf, int kStepsOf, int kWarps = 16>
struct Form {
  using Number = T;
  static constexpr int kParts = kPlanes<T>;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kChannels = kChannelsOf;
  static constexpr int kLines = kStep * kWarps / kChannels;
  static constexpr int kSteps = kStepsOf;
  static constexpr int kChunk = kStep * kSteps;
};

// Rows of 32 bytes, the least that memory moves.
template <typename T>
inline constexpr int kRowChannels = 32 / static_cast<int>(sizeof(T));
template <typename T>
using ScanForm = Form<T, kRowChannels<T>, 1, kRowChannels<T>>;
// Segments that only bring their state along.
template <typename T>
using CarryForm = Form<T, kRowChannels<T>, 1>;
// Constants of more channels, or of longer chunks of numbers in two parts, do not fit.
template <typename T>
using SumsForm = Form<T, 8, 2 / kPlanes<T>>;
// The same in the sums' steps.
template <typename T>
using SumsCarryForm = Form<T, kRowChannels<T>, SumsForm<T>::kSteps>;

// The lines that a launch runs, `run` segments of each sequence.
struct Lines {
  LtiCut cut;
  int64_t run, batch, time, channels;
  __host__ __device__ int64_t count() const { return batch * run; }
  __host__ __device__ int64_t longest() const { return run > 1 ? cut.steps : time; }
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
template <typename Form>
__device__ Place place_of(const Lines& lines, int64_t groups) {
  const int64_t tiles = (lines.channels + Form::kChannels - 1) / Form::kChannels;
  const int64_t block = blockIdx.x / groups;
  return {block / tiles * Form::kLines, block % tiles * Form::kChannels, blockIdx.x % groups};
}

// The same computed anew: registers are too few to keep it through a loop.
template <typename Form>
__device__ Place place_again(const Lines& lines, int64_t groups) {
  asm volatile("" : "+l"(groups));
  return place_of<Form>(lines, groups);
}

// A warp's channel and lines within its block.
template <typename Form>
__device__ int channel_of_warp() {
  return threadIdx.x / 32 % Form::kChannels;
}
template <typename Form>
__device__ int lines_of_warp() {
  return threadIdx.x / 32 / Form::kChannels;
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

// What a product of numbers in two parts adds up, high parts first: without low times low.
template <int kParts>
inline constexpr int kTerms = kParts + 1;
__device__ constexpr int left_part(int term) { return term == 2 ? 1 : 0; }
__device__ inline uint2 right_part(const uint4& w, int term) {
  return term == 1 ? make_uint2(w.z, w.w) : make_uint2(w.x, w.y);
}

// sum += x w of one part each; gpu::left_factor says which elements a lane holds.
__device__ inline void multiply_add(const uint32_t (&x)[4], uint2 w, float (&sum)[4]) {
  gpu::multiply_add(__nv_bfloat16(), x, {w.x, w.y}, sum);
}

// sums[first + i] += x w[i], in turns: no product waits for the one before it.
template <int kCount, int kParts, int kTotal>
__device__ void multiply_add_all(const uint32_t (&x)[kParts][4], const uint4 (&w)[kCount],
                                 float (&sums)[kTotal][4], int first) {
#pragma unroll
  for (int term = 0; term < kTerms<kParts>; ++term) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      multiply_add(x[left_part(term)], right_part(w[i], term), sums[first + i]);
    }
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
