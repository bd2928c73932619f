// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_column_signals_cuda.cuh"
#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// The gradient's sums with 8 lines side by side: a warp marches with 16 modes of a channel from
// chunk to chunk. What u adds to h and to s = dh/da, and what dy makes of them, are products of
// constants as left factors and a chunk of 8 lines. Numbers stand in a sum's order: a lane has the
// real parts of a mode in two lines, then the imaginary ones.
inline constexpr int kColumnChunk = 32;                            // steps
inline constexpr int kColumnChunks = kColumnSteps / kColumnChunk;  // of a stage
inline constexpr int kColumnModes = 8;                             // of a tile
inline constexpr int kColumnTiles = 2;                             // of a warp
inline constexpr int kColumnMostModes =
    kColumnModes * kColumnTiles * kColumnWarps / kColumnChannels;  // of a channel

// Powers of the poles of a block's channels. Those of four modes two steps apart lie in different
// banks.
struct ColumnPowers {
  float2 of[kColumnChannels][kColumnChunk + 1][kColumnMostModes + 2];

  // A thread for half of the powers of a pole.
  template <typename Pole>
  __device__ void fill(const Pole& pole) {
    constexpr int kHalf = kColumnChunk / 2 + 1;
    const int mode = threadIdx.x % kColumnMostModes;
    const int channel = threadIdx.x / kColumnMostModes % kColumnChannels;
    const int first = threadIdx.x / kColumnMostModes / kColumnChannels * kHalf;
    const double2 factor = pole(channel, mode);
    double2 power = power_of(factor, first);
    for (int i = first; i < min(first + kHalf, kColumnChunk + 1); ++i) {
      of[channel][i][mode] = rounded(power);
      power = times(power, factor);
    }
  }
};

// Constants of 8 modes for the steps of a chunk: rows are real parts, then imaginary parts.
struct ColumnFactors {
  uint32_t high[2][4], low[2][4];  // for each 16 steps

  template <typename Value>
  __device__ void prepare(const Value& value) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int step = 16 * k + 8 * i + threadIdx.x % 4 * 2;
        const float2 first = value(step), second = value(step + 1);
        const gpu::SplitPair real = gpu::split(first.x, second.x);
        const gpu::SplitPair imaginary = gpu::split(first.y, second.y);
        high[k][2 * i] = real.high;
        high[k][2 * i + 1] = imaginary.high;
        low[k][2 * i] = real.low;
        low[k][2 * i + 1] = imaginary.low;
      }
    }
  }
};

// sums[c][i] = factors[i] times chunk c, in turns: no product waits for the one before it.
__device__ inline void multiply(const ColumnFactors (&factors)[2],
                                const uint32_t (&chunks)[kColumnChunks][4],
                                float (&sums)[kColumnChunks][2][4]) {
#pragma unroll
  for (auto& of_chunk : sums) {
#pragma unroll
    for (auto& sum : of_chunk) {
#pragma unroll
      for (float& x : sum) x = 0.0f;
    }
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int c = 0; c < kColumnChunks; ++c) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const auto& part = k % 2 == 0 ? factors[i].high : factors[i].low;
        gpu::multiply_add(__nv_bfloat16(), part[k / 2],
                          {chunks[c][k / 2 * 2], chunks[c][k / 2 * 2 + 1]}, sums[c][i]);
      }
    }
  }
}

// A number of the lane's mode in one of its two lines.
__device__ inline float2 column_state(const float (&h)[4], int line) {
  return make_float2(h[line], h[line + 2]);
}
__device__ inline void set_column_state(float (&h)[4], int line, float2 value) {
  h[line] = value.x;
  h[line + 2] = value.y;
}

// 8 modes of a channel on their way.
struct ColumnMarch {
  ColumnFactors in[2], out[2];  // of h, then of s
  float2 hop, hop_slope;        // what is left of a state a chunk later, and the derivative
  float h[4] = {}, s[4] = {};
  float2 dc = {}, da = {};

  __device__ void prepare(const ColumnPowers& powers, int channel, int mode) {
    const auto power = [&](int steps) { return powers.of[channel][steps][mode]; };
    const auto slope = [&](int steps) {
      const float2 less = power(max(0, steps - 1));
      return make_float2(steps * less.x, steps * less.y);
    };
    in[0].prepare([&](int step) { return power(kColumnChunk - 1 - step); });
    in[1].prepare([&](int step) { return slope(kColumnChunk - 1 - step); });
    out[0].prepare([&](int step) { return power(step + 1); });
    out[1].prepare([&](int step) { return slope(step + 1); });
    hop = power(kColumnChunk);
    hop_slope = slope(kColumnChunk);
  }

  // Through a chunk, with what u adds and what dy makes of h and s.
  __device__ void go(const float (&added)[2][4], const float (&wanted)[2][4]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float2 state = column_state(h, r), slope = column_state(s, r);
      const float2 p = column_state(wanted[0], r);
      dc = times_plus(state, p, dc);
      da = times_plus(slope, p, times_plus(state, column_state(wanted[1], r), da));
      const float2 more = times_plus(hop_slope, state, column_state(added[1], r));
      set_column_state(s, r, times_plus(hop, slope, more));
      set_column_state(h, r, times_plus(hop, state, column_state(added[0], r)));
    }
  }

  __device__ void put_ends(float4 (&ends)[2][kColumnThreads]) const {
    ends[0][threadIdx.x] = make_float4(h[0], h[1], h[2], h[3]);
    ends[1][threadIdx.x] = make_float4(s[0], s[1], s[2], s[3]);
  }
};

// Pairs of 16 steps of dy and 8 of u, summed over lines.
struct ColumnPairs {
  float sums[2][2][4] = {};

  __device__ void add(const uint32_t (&dy)[2][4], const uint32_t (&u)[4]) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        gpu::multiply_add(__nv_bfloat16(), dy[m], {u[2 * n], u[2 * n + 1]}, sums[m][n]);
      }
    }
  }
};

}  // namespace longwave::ops::lti_cuda
