// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"

namespace longwave::ops {

/// What the kernels of a scan read and write.
template <typename T>
struct SelectiveScanLaunch {
  SelectiveScanCudaArgs<T> args;
  View<float, 4> ends;    // (batch, segments, state, channels) the state after or before a segment
  View<float, 3> totals;  // (batch, segments, channels) sum of step sizes; infinity: it starts anew
  int64_t segments, segment_steps, chunk;
  int64_t group_channels, group_tiles;           // channels, and blocks side by side, of a group
  bool wide_u, wide_dt, wide_z, wide_B, wide_C;  // whether rows can be copied 16 bytes at a time
};

/// Which of the passes over time: what a segment adds to the state, or everything.
enum class SelectivePass : uint8_t { kEnds, kAll };

namespace selective_cuda {

using gpu::exp2_fast;
using gpu::finish_copies;
using gpu::kLog2E;
using gpu::narrow;
using gpu::pair_of;
using gpu::silu;
using gpu::softplus;

/// How a block's shared memory is laid out.
template <typename T, int kStates, int kLanes, int kChannels>
struct Layout {
  static constexpr int kPadded = kStates * kLanes;                         // states with padding
  static constexpr int kWidth = kSelectiveThreads / kLanes * kChannels;    // channels of a block
  static constexpr int kStepBytes = 6 * kWidth * sizeof(T) + 8 * kWidth +  // u, dt, z; steps
                                    (4 * sizeof(T) + 8) * kPadded + 4;     // B, C; starts
  static constexpr int kMostBytes = 100000;
  static constexpr int fitting(int steps) {
    return steps * kStepBytes <= kMostBytes ? steps : fitting(steps / 2);
  }
  static constexpr int kSteps = fitting(32);  // steps of a tile
  static_assert(kSteps >= 4);

  T raw[2][3][kSteps][kWidth];          // u, dt, z
  T raw_inputs[2][2][kSteps][kPadded];  // B, C
  float inputs[2][kSteps][kPadded];
  float2 steps[kSteps][kWidth];  // s, s u; then y in the place of s
  float bias[kWidth], skip[kWidth];
  uint8_t starts[kSteps];
};

/// One block's channels and segment of time.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Scan {
 public:
  using Shared = Layout<T, kStates, kLanes, kChannels>;
  static constexpr int kSteps = Shared::kSteps, kWidth = Shared::kWidth;
  static constexpr int kPadded = Shared::kPadded;
  static constexpr bool kAll = kPass == SelectivePass::kAll;

  using Pair = gpu::Pair<T>;

  __device__ Scan(const SelectiveScanLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared) {
    const int64_t tiles = launch.args.in.B.extent(2) * launch.group_tiles;
    const int64_t segments = kAll ? launch.segments : launch.segments - 1;
    const int64_t tile = blockIdx.x % tiles, row = blockIdx.x / tiles;
    segment_ = row % segments;
    b_ = row / segments;
    group_ = tile / launch.group_tiles;
    const int64_t first = tile % launch.group_tiles * kWidth;
    first_ = group_ * launch.group_channels + first;
    width_ = static_cast<int>(min(static_cast<int64_t>(kWidth), launch.group_channels - first));
    begin_ = segment_ * launch.segment_steps;
    end_ = min(begin_ + launch.segment_steps, launch.args.in.u.extent(1));
    lane_ = threadIdx.x % kLanes;
    mine_ = threadIdx.x / kLanes * kChannels;
  }

  __device__ void run() {
    begin();
    if (begin_ < end_) load(begin_, 0);
    int stage = 0;
    for (int64_t t = begin_; t < end_; t += kSteps, stage ^= 1) {
      finish_copies();
      __syncthreads();
      if (t + kSteps < end_) load(t + kSteps, stage ^ 1);
      const bool starts = prepare(t, stage);
      if (kAll) keep(t);
      starts ? march<true>() : march<false>();
      __syncthreads();
      if (kAll) finish(t, stage);
    }
    end();
  }

 private:
  __device__ int64_t channel(int i) const { return first_ + mine_ + i; }
  __device__ bool holds(int i, int n) const {
    return mine_ + i < width_ && lane_ * kStates + n < launch_.args.in.A.extent(1);
  }

  // Parameters, and the state before the segment.
  __device__ void begin() {
    const auto& args = launch_.args;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      total_[i] = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const int64_t c = channel(i), state = lane_ * kStates + n;
        A_[i][n] = holds(i, n) ? args.in.A(c, state) * kLog2E : 0.0f;
        h_[i][n] = 0.0f;
        if (!kAll || !holds(i, n)) continue;
        h_[i][n] =
            launch_.segments > 1 ? launch_.ends(b_, segment_, state, c) : args.h(b_, c, state);
      }
    }
    for (int i = threadIdx.x; i < kWidth; i += kSelectiveThreads) {
      const bool there = i < width_;
      shared_.bias[i] = there && !args.in.dt_bias.absent() ? args.in.dt_bias(first_ + i) : 0.0f;
      shared_.skip[i] = there && !args.in.D.absent() ? args.in.D(first_ + i) : 0.0f;
    }
  }

  __device__ void end() {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (!holds(i, n)) continue;
        const int64_t c = channel(i), state = lane_ * kStates + n;
        if (!kAll) launch_.ends(b_, segment_, state, c) = h_[i][n];
        if (kAll && segment_ + 1 == launch_.segments) launch_.args.h(b_, c, state) = h_[i][n];
      }
      if (!kAll && lane_ == 0 && mine_ + i < width_) {
        launch_.totals(b_, segment_, channel(i)) = total_[i];
      }
    }
  }

  __device__ void load_channels(const View<const T, 3>& x, int64_t t, int rows, bool wide,
                                T (*to)[kWidth]) const {
    gpu::load_rows<kSelectiveThreads>(
        gpu::RowsToLoad<T>{&x(b_, t, first_), x.stride(1), x.stride(2), rows, width_, wide}, to);
  }
  __device__ void load_states(const View<const T, 4>& x, int64_t t, int rows, bool wide,
                              T (*to)[kPadded]) const {
    gpu::load_rows<kSelectiveThreads>(
        gpu::RowsToLoad<T>{&x(b_, t, group_, int64_t{0}), x.stride(1), x.stride(3), rows,
                           static_cast<int>(x.extent(3)), wide},
        to);
  }

  // Asks for a tile of inputs.
  __device__ void load(int64_t t, int stage) const {
    const auto& in = launch_.args.in;
    const int rows = static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
    load_channels(in.u, t, rows, launch_.wide_u, shared_.raw[stage][0]);
    load_channels(in.dt, t, rows, launch_.wide_dt, shared_.raw[stage][1]);
    if (kAll && !in.z.absent()) {
      load_channels(in.z, t, rows, launch_.wide_z, shared_.raw[stage][2]);
    }
    load_states(in.B, t, rows, launch_.wide_B, shared_.raw_inputs[stage][0]);
    if (kAll) load_states(in.C, t, rows, launch_.wide_C, shared_.raw_inputs[stage][1]);
  }

  // Step sizes, and B and C in float32; zeros beyond the end, which change nothing. Returns whether
  // a sequence starts in the tile.
  __device__ bool prepare(int64_t t, int stage) const {
    const auto& in = launch_.args.in;
    const int rows = static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
    const bool soft = in.step_size == StepSize::kSoftplus;
    const int c = column();
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
#pragma unroll
    for (int first = 0; first < kPasses; first += kBatch) {
      float2 u[kBatch], s[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = min(first_row() + (first + i) * kRowsAtOnce, kSteps - 1);
        u[i] = pair_of(shared_.raw[stage][0][row] + c);
        s[i] = pair_of(shared_.raw[stage][1][row] + c);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first_row() + (first + i) * kRowsAtOnce;
        const float2 raw = make_float2(s[i].x + bias.x, s[i].y + bias.y);
        const float2 smooth = make_float2(softplus(raw.x), softplus(raw.y));
        const bool here = row < rows && c < width_, next = row < rows && c + 1 < width_;
        s[i] = soft ? smooth : raw;
        s[i].x = here ? s[i].x : 0.0f, u[i].x = here ? s[i].x * u[i].x : 0.0f;
        s[i].y = next ? s[i].y : 0.0f, u[i].y = next ? s[i].y * u[i].y : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first_row() + (first + i) * kRowsAtOnce;
        if (kSteps % kRowsAtOnce != 0 && row >= kSteps) break;
        *reinterpret_cast<float4*>(&shared_.steps[row][c]) =
            make_float4(s[i].x, u[i].x, s[i].y, u[i].y);
      }
    }
    widen_states(rows, stage, 0);
    if (kAll) widen_states(rows, stage, 1);
    bool start = false;
    if (!in.starts.absent() && threadIdx.x < kSteps) {
      const int row = threadIdx.x;
      start = row < rows && in.starts(b_, t + row) != 0;
      shared_.starts[row] = start;
    }
    return __syncthreads_or(start);
  }

  __device__ void widen_states(int rows, int stage, int which) const {
    const int state = static_cast<int>(launch_.args.in.A.extent(1));
    constexpr int kPairs = kPadded / 2;
#pragma unroll
    for (int i = threadIdx.x; i < kSteps * kPairs; i += kSelectiveThreads) {
      const int row = i / kPairs, n = i % kPairs * 2;
      float2 x = pair_of(shared_.raw_inputs[stage][which][row] + n);
      x.x = row < rows && n < state ? x.x : 0.0f;
      x.y = row < rows && n + 1 < state ? x.y : 0.0f;
      *reinterpret_cast<float2*>(&shared_.inputs[which][row][n]) = x;
    }
  }

  // Outside of the march a thread sees to two channels, and to every kRowsAtOnce-th step.
  static constexpr int kRowsAtOnce = kSelectiveThreads / (kWidth / 2);
  static constexpr int kPasses = (kSteps + kRowsAtOnce - 1) / kRowsAtOnce;
  static constexpr int kBatch = kPasses < 4 ? kPasses : 4;  // side by side, to hide latency
  __device__ int column() const { return threadIdx.x % (kWidth / 2) * 2; }
  __device__ int first_row() const { return threadIdx.x / (kWidth / 2); }

  // The state before a chunk.
  __device__ void keep(int64_t t) const {
    const View<float, 4>& states = launch_.args.states;
    if (states.absent() || t % launch_.chunk != 0) return;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (holds(i, n)) {
          states(b_, t / launch_.chunk, lane_ * kStates + n, channel(i)) = h_[i][n];
        }
      }
    }
  }

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
    const float* from = &shared_.inputs[which][t][lane_ * kStates];
    if constexpr (kStates % 4 == 0) {
#pragma unroll
      for (int n = 0; n < kStates; n += 4) {
        const float4 four = *reinterpret_cast<const float4*>(from + n);
        to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
      }
    } else {
      static_assert(kStates == 2);
      const float2 two = *reinterpret_cast<const float2*>(from);
      to[0] = two.x, to[1] = two.y;
    }
  }

  // The recurrence over a tile, states in registers.
  template <bool kStarts>
  __device__ void march() {
    constexpr int kGroup = kLanes < 4 ? kLanes : 4;  // steps whose outputs are added up together
    constexpr int kGroups = 4 / kGroup;
#pragma unroll 1
    for (int first = 0; first < kSteps; first += kGroups * kGroup) {
      float y[kGroups][kChannels][kGroup];
#pragma unroll
      for (int j = 0; j < kGroups * kGroup; ++j) {
        step<kStarts>(first + j, y[j / kGroup], j % kGroup);
      }
      if constexpr (kAll) {
        constexpr int kShare = kLanes / kGroup;
#pragma unroll
        for (int j = 0; j < kGroups; ++j) {
#pragma unroll
          for (int i = 0; i < kChannels; ++i) gpu::add_lanes<kGroup, kLanes / 2, 1>(y[j][i]);
        }
        __syncwarp();  // the outputs take the place of what all lanes of a channel have read
#pragma unroll
        for (int j = 0; j < kGroups; ++j) {
          const int t = first + j * kGroup + lane_ / kShare;
#pragma unroll
          for (int i = 0; i < kChannels; ++i) {
            if (lane_ % kShare == 0) shared_.steps[t][mine_ + i].x = y[j][i][0];
          }
        }
      }
    }
  }

  template <bool kStarts, int kGroup>
  __device__ void step(int t, float (&y)[kChannels][kGroup], int j) {
    float B[kStates], C[kStates];
    read_states(0, t, B);
    if (kAll) read_states(1, t, C);
    const bool start = kStarts && shared_.starts[t] != 0;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      const float2 s = shared_.steps[t][mine_ + i];
      if (!kAll) total_[i] = start ? INFINITY : total_[i] + s.x;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const bool anew = kStarts && start;  // what was before must not matter, even infinity
        const float before = anew ? 0.0f : h_[i][n];
        const float factor = anew ? 0.0f : exp2_fast(s.x * A_[i][n]);
        h_[i][n] = fmaf(factor, before, s.y * B[n]);
        if (kAll) sum = fmaf(C[n], h_[i][n], sum);
      }
      y[i][j] = sum;
    }
  }

  // Skip and gate.
  __device__ void finish(int64_t t, int stage) const {
    const auto& args = launch_.args;
    const int rows = static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
    const bool gated = !args.in.z.absent();
    const int c = column();
    const float2 skip = *reinterpret_cast<const float2*>(&shared_.skip[c]);
    const View<T, 3>& y = args.y;
    if (c >= width_) return;
    T* place = &y(b_, t, first_ + c) + first_row() * y.stride(1);
    const bool paired = c + 1 < width_ && y.stride(2) == 1 && y.stride(1) % 2 == 0 &&
                        reinterpret_cast<uintptr_t>(place) % sizeof(Pair) == 0;
#pragma unroll
    for (int first = 0; first < kPasses; first += kBatch) {
      Pair out[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = min(first_row() + (first + i) * kRowsAtOnce, kSteps - 1);
        const float4 both = *reinterpret_cast<const float4*>(&shared_.steps[row][c]);
        const float2 u = pair_of(shared_.raw[stage][0][row] + c);
        const float2 z = pair_of(shared_.raw[stage][2][row] + c);
        const float one = fmaf(skip.x, u.x, both.x), other = fmaf(skip.y, u.y, both.z);
        narrow(gated ? one * silu(z.x) : one, out[i].first);
        narrow(gated ? other * silu(z.y) : other, out[i].second);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i, place += kRowsAtOnce * y.stride(1)) {
        if (first_row() + (first + i) * kRowsAtOnce >= rows) continue;
        if (paired) {
          *reinterpret_cast<Pair*>(place) = out[i];
        } else {
          place[0] = out[i].first;
          if (c + 1 < width_) place[y.stride(2)] = out[i].second;
        }
      }
    }
  }

  const SelectiveScanLaunch<T>& launch_;
  Shared& shared_;
  int64_t b_, segment_, group_, first_, begin_, end_;
  int width_, lane_, mine_;  // channels of the block; lane in the channel; first channel held
  float A_[kChannels][kStates], h_[kChannels][kStates], total_[kChannels];
};

template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
__global__ void __launch_bounds__(kSelectiveThreads)
    scan_kernel(const __grid_constant__ SelectiveScanLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Scan = Scan<T, kStates, kLanes, kChannels, kPass>;
  Scan(launch, *reinterpret_cast<typename Scan::Shared*>(bytes)).run();
}

/// Turns what each segment adds into the state before it.
template <typename T>
__global__ void carry_kernel(const __grid_constant__ SelectiveScanLaunch<T> launch) {
  const SelectiveScanCudaArgs<T>& args = launch.args;
  const int64_t channels = args.h.extent(1), state = args.h.extent(2);
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= args.h.extent(0) * state * channels) return;
  const int64_t c = index % channels, n = index / channels % state, b = index / channels / state;
  const float A = args.in.A(c, n) * kLog2E;
  float h = args.h(b, c, n);
  for (int64_t segment = 0; segment < launch.segments; ++segment) {
    float& end = launch.ends(b, segment, n, c);
    if (segment + 1 == launch.segments) {
      end = h;
      break;
    }
    const float added = end, total = launch.totals(b, segment, c);
    end = h;
    h = isinf(total) ? added : fmaf(exp2_fast(total * A), h, added);
  }
}

}  // namespace selective_cuda
}  // namespace longwave::ops
