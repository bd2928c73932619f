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
  int chunk_shift;                               // chunk == 1 << chunk_shift
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
    in_pieces_ = in_pieces();
    begin_loads();
    if (kAll) begin_outputs();
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
  __device__ int rows_from(int64_t t) const {
    return static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
  }
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

  // What the next tile of an operand is read from: this thread's part of it.
  template <int kCount>
  __device__ const T* first_piece(const T* from, int64_t row_stride, int64_t stride,
                                  bool wide) const {
    using Pieces = gpu::RowPieces<kSelectiveThreads, kCount, T>;
    return from + Pieces::row(wide, threadIdx.x) * row_stride +
           Pieces::column(wide, threadIdx.x) * stride;
  }
  __device__ const T* first_signal(const View<const T, 3>& x, bool wide) const {
    if (x.absent()) return nullptr;
    return first_piece<kWidth>(&x(b_, begin_, first_), x.stride(1), x.stride(2), wide);
  }
  __device__ const T* first_input(const View<const T, 4>& x, bool wide) const {
    return first_piece<kPadded>(&x(b_, begin_, group_, int64_t{0}), x.stride(1), x.stride(3), wide);
  }
  __device__ void begin_loads() {
    const auto& in = launch_.args.in;
    signals_[0] = first_signal(in.u, launch_.wide_u);
    signals_[1] = first_signal(in.dt, launch_.wide_dt);
    signals_[2] = first_signal(in.z, launch_.wide_z);
    inputs_[0] = first_input(in.B, launch_.wide_B);
    inputs_[1] = first_input(in.C, launch_.wide_C);
  }

  // Whether whole tiles can go 16 bytes at a time, of all operands.
  static constexpr bool kWide = gpu::RowPieces<kSelectiveThreads, kWidth, T>::kInPieces &&
                                gpu::RowPieces<kSelectiveThreads, kPadded, T>::kInPieces;
  __device__ bool in_pieces() const {
    const auto& in = launch_.args.in;
    return kWide && width_ == kWidth && in.A.extent(1) == kPadded && launch_.wide_u &&
           launch_.wide_dt && (in.z.absent() || launch_.wide_z) && launch_.wide_B && launch_.wide_C;
  }

  template <bool kWhole>
  __device__ void load_signal(int which, const View<const T, 3>& x, bool wide, int rows,
                              int stage) {
    if constexpr (kWhole) {
      gpu::load_whole_rows<kSelectiveThreads, kSteps>(signals_[which], x.stride(1), threadIdx.x,
                                                      shared_.raw[stage][which]);
    } else {
      gpu::load_rows<kSelectiveThreads>(
          gpu::RowsToLoad<T>{signals_[which], x.stride(1), x.stride(2), rows, width_, wide,
                             static_cast<int>(threadIdx.x)},
          shared_.raw[stage][which]);
    }
    signals_[which] += kSteps * x.stride(1);
  }
  template <bool kWhole>
  __device__ void load_input(int which, const View<const T, 4>& x, bool wide, int rows, int stage) {
    if constexpr (kWhole) {
      gpu::load_whole_rows<kSelectiveThreads, kSteps>(inputs_[which], x.stride(1), threadIdx.x,
                                                      shared_.raw_inputs[stage][which]);
    } else {
      gpu::load_rows<kSelectiveThreads>(
          gpu::RowsToLoad<T>{inputs_[which], x.stride(1), x.stride(3), rows,
                             static_cast<int>(x.extent(3)), wide, static_cast<int>(threadIdx.x)},
          shared_.raw_inputs[stage][which]);
    }
    inputs_[which] += kSteps * x.stride(1);
  }
  template <bool kWhole>
  __device__ void load_all(int rows, int stage) {
    const auto& in = launch_.args.in;
    load_signal<kWhole>(0, in.u, launch_.wide_u, rows, stage);
    load_signal<kWhole>(1, in.dt, launch_.wide_dt, rows, stage);
    if (kAll && !in.z.absent()) load_signal<kWhole>(2, in.z, launch_.wide_z, rows, stage);
    load_input<kWhole>(0, in.B, launch_.wide_B, rows, stage);
    if (kAll) load_input<kWhole>(1, in.C, launch_.wide_C, rows, stage);
  }

  // Asks for the next tile of operands.
  __device__ void load(int64_t t, int stage) {
    const int rows = rows_from(t);
    if constexpr (kWide) {
      if (in_pieces_ && rows == kSteps) {
        load_all<true>(rows, stage);
        return;
      }
    }
    load_all<false>(rows, stage);
  }

  // Step sizes, and B and C in float32; zeros beyond the end, which change nothing. Returns whether
  // a sequence starts in the tile.
  __device__ bool prepare(int64_t t, int stage) const {
    const auto& in = launch_.args.in;
    const int rows = rows_from(t);
    if (rows == kSteps && width_ == kWidth) {
      prepare_steps<true>(rows, stage);
    } else {
      prepare_steps<false>(rows, stage);
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

  // kWhole: no step and no channel of the tile is beyond the end.
  template <bool kWhole>
  __device__ void prepare_steps(int rows, int stage) const {
    const bool soft = launch_.args.in.step_size == StepSize::kSoftplus;
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
        s[i].x += bias.x, s[i].y += bias.y;
      }
      if (soft) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) s[i] = make_float2(softplus(s[i].x), softplus(s[i].y));
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first_row() + (first + i) * kRowsAtOnce;
        if (kSteps % kRowsAtOnce != 0 && row >= kSteps) break;
        const bool here = kWhole || (row < rows && c < width_);
        const bool next = kWhole || (row < rows && c + 1 < width_);
        *reinterpret_cast<float4*>(&shared_.steps[row][c]) =
            make_float4(here ? s[i].x : 0.0f, here ? s[i].x * u[i].x : 0.0f, next ? s[i].y : 0.0f,
                        next ? s[i].y * u[i].y : 0.0f);
      }
    }
  }

  __device__ void widen_states(int rows, int stage, int which) const {
    const int state = static_cast<int>(launch_.args.in.A.extent(1));
    gpu::widen_rows<kSelectiveThreads, kSteps>(shared_.raw_inputs[stage][which], rows, state,
                                               shared_.inputs[which]);
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
    if (states.absent() || (t & (launch_.chunk - 1)) != 0) return;
    const int64_t chunk = t >> launch_.chunk_shift;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (holds(i, n)) {
          states(b_, chunk, lane_ * kStates + n, channel(i)) = h_[i][n];
        }
      }
    }
  }

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
    const float* from = &shared_.inputs[which][t][lane_ * kStates];
    static_assert(kStates % 4 == 0);
#pragma unroll
    for (int n = 0; n < kStates; n += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + n);
      to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
    }
  }

  // The recurrence over a tile, states in registers.
  template <bool kStarts>
  __device__ void march() {
    constexpr int kGroup = kLanes < 4 ? kLanes : 4;  // steps whose outputs are added up together
    constexpr int kGroups = (kSteps < 8 ? 4 : 8) / kGroup;
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
          if (lane_ % kShare == 0) leave_outputs(t, y[j]);
        }
      }
    }
  }

  // A thread's outputs of a step take the place of a step size or two. Of neighbouring steps they
  // lie in different banks.
  template <int kGroup>
  __device__ void leave_outputs(int t, const float (&y)[kChannels][kGroup]) {
    if constexpr (kChannels == 2) {
      shared_.steps[t][mine_ + t % 2] = make_float2(y[0][0], y[1][0]);
    } else {
      shared_.steps[t][mine_].x = y[0][0];
    }
  }
  __device__ float2 two_outputs(int t, int c) const {
    if constexpr (kChannels == 2) return shared_.steps[t][c + t % 2];
    const float4 both = *reinterpret_cast<const float4*>(&shared_.steps[t][c]);
    return make_float2(both.x, both.z);
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
  __device__ void finish(int64_t t, int stage) {
    const auto& args = launch_.args;
    const int rows = rows_from(t);
    const bool gated = !args.in.z.absent();
    const int c = column();
    const float2 skip = *reinterpret_cast<const float2*>(&shared_.skip[c]);
    const int64_t stride = args.y.stride(1);
    if (c >= width_) return;
#pragma unroll
    for (int first = 0; first < kPasses; first += kBatch) {
      float2 out[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = min(first_row() + (first + i) * kRowsAtOnce, kSteps - 1);
        const float2 y = two_outputs(row, c);
        const float2 u = pair_of(shared_.raw[stage][0][row] + c);
        out[i] = make_float2(fmaf(skip.x, u.x, y.x), fmaf(skip.y, u.y, y.y));
      }
      if (gated) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          const int row = min(first_row() + (first + i) * kRowsAtOnce, kSteps - 1);
          const float2 z = pair_of(shared_.raw[stage][2][row] + c);
          out[i].x *= silu(z.x), out[i].y *= silu(z.y);
        }
      }
      const int left = rows - first_row() - first * kRowsAtOnce;
      T* place = y_ + first * kRowsAtOnce * stride;
      if (paired_y_) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i, place += kRowsAtOnce * stride) {
          Pair pair;
          narrow(out[i].x, pair.first);
          narrow(out[i].y, pair.second);
          if (i * kRowsAtOnce < left) *reinterpret_cast<Pair*>(place) = pair;
        }
      } else {
#pragma unroll
        for (int i = 0; i < kBatch; ++i, place += kRowsAtOnce * stride) {
          if (i * kRowsAtOnce >= left) break;
          narrow(out[i].x, place[0]);
          if (c + 1 < width_) narrow(out[i].y, place[args.y.stride(2)]);
        }
      }
    }
    y_ += kSteps * stride;
  }

  // Where this thread's outputs go, and whether two channels can go at once.
  __device__ void begin_outputs() {
    const View<T, 3>& y = launch_.args.y;
    const int c = min(column(), width_ - 1);
    y_ = &y(b_, begin_, first_ + c) + first_row() * y.stride(1);
    paired_y_ = c + 1 < width_ && y.stride(2) == 1 && y.stride(1) % 2 == 0 &&
                reinterpret_cast<uintptr_t>(y_) % sizeof(Pair) == 0;
  }

  const SelectiveScanLaunch<T>& launch_;
  Shared& shared_;
  int64_t b_, segment_, group_, first_, begin_, end_;
  int width_, lane_, mine_;  // channels of the block; lane in the channel; first channel held
  const T *signals_[3], *inputs_[2];  // this thread's part of the next tile of u, dt, z, B and C
  T* y_;                              // and of the next outputs
  bool paired_y_, in_pieces_;
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
