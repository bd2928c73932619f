// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_kernel_cuda.cuh"

namespace longwave::ops {

/// What the kernels of a gradient read and write; sums are over the channels of a block, or over
/// the steps of a segment.
template <typename T>
struct SelectiveGradLaunch {
  SelectiveScanCudaGradArgs<T> args;
  View<float, 6> inputs;   // (tiles, batch, time, groups, 2, state) sums for dB and dC
  View<float, 3> A;        // (batch segments, state, channels) sums for dA
  View<float, 3> signals;  // (batch segments, 2, channels) sums for dD and ddt_bias
  View<float, 4> ends;     // (batch, segments, state, channels) the adjoint before or behind a one
  View<float, 3> totals;   // (batch, segments, channels) sum of step sizes; infinity: starts anew
  int64_t segments, segment_steps;
  int64_t group_channels, group_tiles;  // channels, and blocks side by side, of a group
  bool wide_u, wide_dt, wide_z, wide_dy, wide_B, wide_C;  // rows go 16 bytes at a time
  bool paired_du, paired_ddt, paired_dz;                  // channels go in pairs
};

namespace selective_cuda {

/// Shared memory of a block that computes gradients.
template <typename T, int kStates, int kLanes, int kChannels>
struct GradLayout {
  static constexpr int kPadded = kStates * kLanes;
  static constexpr int kWidth = kSelectiveThreads / kLanes * kChannels;
  static constexpr int kSteps = kPadded <= 16 ? 32 : 64;  // as selective_scan_chunk
  static constexpr int kSub = 4;                          // steps whose states are in registers
  static constexpr int kSubs = kSteps / kSub;
  static constexpr int kFlush = 8;  // steps whose sums over channels are written together
  static constexpr int kStages = sizeof(T) == 2 && kPadded <= 16 ? 2 : 1;
  static constexpr int kWarps = kSelectiveThreads / 32;

  T raw[kStages][4][kSteps][kWidth];          // u, dt, z, dy
  T raw_inputs[kStages][2][kSteps][kPadded];  // B, C
  float inputs[2][kSteps][kPadded];
  // s, s u, dy silu(z), nothing; then s, g.B, A g h', C.h
  float planes[4][kSteps][kWidth];
  float4 before[kSubs - 1][kStates * kChannels / 4][kSelectiveThreads];
  float sums[2][kFlush][kWarps][2 * kPadded];
  float bias[kWidth], skip[kWidth];
  uint8_t starts[kSteps];
};

/// One block's channels and segment of time, backwards. kEnds finds only what the adjoint before
/// the segment takes from within it.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Adjoint {
 public:
  using Shared = GradLayout<T, kStates, kLanes, kChannels>;
  static constexpr int kSteps = Shared::kSteps, kWidth = Shared::kWidth, kSub = Shared::kSub;
  static constexpr int kPadded = Shared::kPadded, kSubs = Shared::kSubs;
  static constexpr bool kAll = kPass == SelectivePass::kAll;
  static_assert(kLanes >= kSub && kStates % 4 == 0 && kChannels == 2);

  __device__ Adjoint(const SelectiveGradLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared) {
    const int64_t tiles = launch.args.in.B.extent(2) * launch.group_tiles;
    const int64_t segments = kAll ? launch.segments : launch.segments - 1;
    const int64_t tile = blockIdx.x % tiles, row = blockIdx.x / tiles;
    segment_ = row % segments + (kAll ? 0 : 1);  // nothing lies before the first
    b_ = row / segments;
    group_ = tile / launch.group_tiles;
    tile_ = tile % launch.group_tiles;
    first_ = group_ * launch.group_channels + tile_ * kWidth;
    width_ =
        static_cast<int>(min(static_cast<int64_t>(kWidth), launch.group_channels - tile_ * kWidth));
    begin_ = segment_ * launch.segment_steps;
    end_ = min(begin_ + launch.segment_steps, launch.args.in.u.extent(1));
    lane_ = threadIdx.x % kLanes;
    mine_ = threadIdx.x / kLanes * kChannels;
  }

  __device__ void run() {
    begin();
    int64_t t = begin_ + (end_ - begin_ - 1) / kSteps * kSteps;
    load(t, 0);
    for (int stage = 0; t >= begin_; t -= kSteps) {
      gpu::finish_copies();
      __syncthreads();
      if (Shared::kStages == 2 && t > begin_) load(t - kSteps, stage ^ 1);
      const bool starts = prepare(t, stage);
      if (kAll) {
        starts ? march<true>(t) : march<false>(t);
      } else {
        starts ? march_ends<true>() : march_ends<false>();
      }
      __syncthreads();
      if (kAll) finish(t, stage);
      if (Shared::kStages == 2) {
        stage ^= 1;
      } else if (t > begin_) {
        __syncthreads();
        load(t - kSteps, 0);
      }
    }
    end();
  }

 private:
  __device__ int64_t channel(int i) const { return first_ + mine_ + i; }
  __device__ bool holds(int i, int n) const {
    return mine_ + i < width_ && lane_ * kStates + n < launch_.args.in.A.extent(1);
  }
  __device__ int rows_from(int64_t t) const {
    return static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
  }
  __device__ int64_t row() const { return b_ * launch_.segments + segment_; }

  // Parameters, and the adjoint behind the segment.
  __device__ void begin() {
    const auto& args = launch_.args;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      total_[i] = sum_D_[i] = sum_bias_[i] = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const int64_t c = channel(i), state = lane_ * kStates + n;
        A_[i][n] = holds(i, n) ? args.in.A(c, state) * gpu::kLog2E : 0.0f;
        sum_A_[i][n] = adjoint_[i][n] = 0.0f;
        if (!kAll || !holds(i, n)) continue;
        if (launch_.segments > 1) {
          adjoint_[i][n] = launch_.ends(b_, segment_, state, c);
        } else if (!args.dh.absent()) {
          adjoint_[i][n] = args.dh(b_, c, state);
        }
      }
    }
    for (int i = threadIdx.x; i < kWidth; i += kSelectiveThreads) {
      const bool there = i < width_;
      shared_.bias[i] = there && !args.in.dt_bias.absent() ? args.in.dt_bias(first_ + i) : 0.0f;
      shared_.skip[i] = there && !args.in.D.absent() ? args.in.D(first_ + i) : 0.0f;
    }
  }

  __device__ void end() {
    const auto& args = launch_.args;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (!holds(i, n)) continue;
        const int64_t c = channel(i), state = lane_ * kStates + n;
        if (!kAll) launch_.ends(b_, segment_, state, c) = adjoint_[i][n];
        if (kAll && segment_ == 0) args.dh0(b_, c, state) = adjoint_[i][n];
        if (kAll) launch_.A(row(), state, c) = sum_A_[i][n];
      }
      if (!kAll && lane_ == 0 && mine_ + i < width_) {
        launch_.totals(b_, segment_, channel(i)) = total_[i];
      }
    }
    if (kAll) end_signals();
  }

  // Sums over the threads that saw to the same channels.
  __device__ void end_signals() {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      shared_.planes[0][first_row()][column() + i] = sum_D_[i];
      shared_.planes[1][first_row()][column() + i] = sum_bias_[i];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < width_; i += kSelectiveThreads) {
#pragma unroll
      for (int which = 0; which < 2; ++which) {
        float sum = 0.0f;
        for (int j = 0; j < kRowsAtOnce; ++j) sum += shared_.planes[which][j][i];
        launch_.signals(row(), which, first_ + i) = sum;
      }
    }
  }

  __device__ void load_channels(const View<const T, 3>& x, int64_t t, bool wide,
                                T (*to)[kWidth]) const {
    gpu::load_rows<kSelectiveThreads>(
        gpu::RowsToLoad<T>{&x(b_, t, first_), x.stride(1), x.stride(2), rows_from(t), width_, wide},
        to);
  }
  __device__ void load_states(const View<const T, 4>& x, int64_t t, bool wide,
                              T (*to)[kPadded]) const {
    gpu::load_rows<kSelectiveThreads>(
        gpu::RowsToLoad<T>{&x(b_, t, group_, int64_t{0}), x.stride(1), x.stride(3), rows_from(t),
                           static_cast<int>(x.extent(3)), wide},
        to);
  }

  // Asks for a tile of operands.
  __device__ void load(int64_t t, int stage) const {
    const auto& in = launch_.args.in;
    auto& to = shared_.raw[stage];
    if (kAll) load_channels(in.u, t, launch_.wide_u, to[0]);
    load_channels(in.dt, t, launch_.wide_dt, to[1]);
    if (!in.z.absent()) load_channels(in.z, t, launch_.wide_z, to[2]);
    load_channels(launch_.args.dy, t, launch_.wide_dy, to[3]);
    if (kAll) load_states(in.B, t, launch_.wide_B, shared_.raw_inputs[stage][0]);
    load_states(in.C, t, launch_.wide_C, shared_.raw_inputs[stage][1]);
  }

  // Outside of the march a thread sees to two channels, and to every kRowsAtOnce-th step.
  static constexpr int kRowsAtOnce = kSelectiveThreads / (kWidth / 2);
  static_assert(kRowsAtOnce <= kSteps);
  __device__ int column() const { return threadIdx.x % (kWidth / 2) * 2; }
  __device__ int first_row() const { return threadIdx.x / (kWidth / 2); }

  // Fills planes and inputs; zeros beyond the end, which change nothing. Returns whether a sequence
  // starts in the tile.
  __device__ bool prepare(int64_t t, int stage) {
    const auto& in = launch_.args.in;
    const int rows = rows_from(t), c = column();
    const bool soft = in.step_size == StepSize::kSoftplus, gated = !in.z.absent();
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
#pragma unroll 4
    for (int i = first_row(); i < kSteps; i += kRowsAtOnce) {
      const float2 u = gpu::pair_of(&shared_.raw[stage][0][i][c]);
      const float2 dt = gpu::pair_of(&shared_.raw[stage][1][i][c]);
      const float2 z = gpu::pair_of(&shared_.raw[stage][2][i][c]);
      const float2 dy = gpu::pair_of(&shared_.raw[stage][3][i][c]);
      const bool here = i < rows && c < width_, next = i < rows && c + 1 < width_;
      const float2 raw = make_float2(dt.x + bias.x, dt.y + bias.y);
      const float2 s = make_float2(here ? (soft ? gpu::softplus(raw.x) : raw.x) : 0.0f,
                                   next ? (soft ? gpu::softplus(raw.y) : raw.y) : 0.0f);
      put(0, i, c, s);
      put(1, i, c, make_float2(here ? s.x * u.x : 0.0f, next ? s.y * u.y : 0.0f));
      put(2, i, c,
          make_float2(here ? (gated ? dy.x * gpu::silu(z.x) : dy.x) : 0.0f,
                      next ? (gated ? dy.y * gpu::silu(z.y) : dy.y) : 0.0f));
    }
    if (kAll) widen_states(rows, stage, 0);
    widen_states(rows, stage, 1);
    bool start = false;
    if (!in.starts.absent() && threadIdx.x < kSteps) {
      const int i = threadIdx.x;
      start = i < rows && in.starts(b_, t + i) != 0;
      shared_.starts[i] = start;
    }
    return __syncthreads_or(start);
  }

  __device__ void put(int plane, int i, int c, float2 two) const {
    *reinterpret_cast<float2*>(&shared_.planes[plane][i][c]) = two;
  }
  __device__ float2 get(int plane, int i, int c) const {
    return *reinterpret_cast<const float2*>(&shared_.planes[plane][i][c]);
  }

  __device__ void widen_states(int rows, int stage, int which) const {
    const int state = static_cast<int>(launch_.args.in.A.extent(1));
    constexpr int kPairs = kPadded / 2;
    for (int i = threadIdx.x; i < kSteps * kPairs; i += kSelectiveThreads) {
      const int row = i / kPairs, n = i % kPairs * 2;
      float2 x = gpu::pair_of(shared_.raw_inputs[stage][which][row] + n);
      x.x = row < rows && n < state ? x.x : 0.0f;
      x.y = row < rows && n + 1 < state ? x.y : 0.0f;
      *reinterpret_cast<float2*>(&shared_.inputs[which][row][n]) = x;
    }
  }

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
#pragma unroll
    for (int n = 0; n < kStates; n += 4) {
      const float4 four =
          *reinterpret_cast<const float4*>(&shared_.inputs[which][t][lane_ * kStates + n]);
      to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
    }
  }

  // Two channels' numbers of a step.
  __device__ void read_pair(int plane, int t, float (&to)[kChannels]) const {
    const float2 two = get(plane, t, mine_);
    to[0] = two.x, to[1] = two.y;
  }

  using Held = float[kChannels][kStates];

  // The state before a tile, as the scan kept it.
  __device__ void read_kept(int64_t t, Held& h) const {
    const View<const float, 4>& states = launch_.args.states;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        h[i][n] = holds(i, n) ? states(b_, t / kSteps, lane_ * kStates + n, channel(i)) : 0.0f;
      }
    }
  }

  __device__ void park(int sub, const Held& h) const {
    const float* numbers = &h[0][0];
#pragma unroll
    for (int k = 0; k < kChannels * kStates / 4; ++k) {
      shared_.before[sub][k][threadIdx.x] =
          make_float4(numbers[4 * k], numbers[4 * k + 1], numbers[4 * k + 2], numbers[4 * k + 3]);
    }
  }
  __device__ void fetch(int sub, Held& h) const {
    float* numbers = &h[0][0];
#pragma unroll
    for (int k = 0; k < kChannels * kStates / 4; ++k) {
      const float4 four = shared_.before[sub][k][threadIdx.x];
      numbers[4 * k] = four.x, numbers[4 * k + 1] = four.y;
      numbers[4 * k + 2] = four.z, numbers[4 * k + 3] = four.w;
    }
  }

  template <bool kStarts>
  __device__ bool starts_at(int t) const {
    return kStarts && shared_.starts[t] != 0;
  }

  // The states before each few steps of the tile but the first, parked.
  template <bool kStarts>
  __device__ void march_forward(int64_t first) const {
    Held h;
    read_kept(first, h);
#pragma unroll 1
    for (int sub = 0; sub + 1 < kSubs; ++sub) {
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const int t = sub * kSub + j;
        float B[kStates], s[kChannels], su[kChannels];
        read_states(0, t, B);
        read_pair(0, t, s);
        read_pair(1, t, su);
        const bool start = starts_at<kStarts>(t);
#pragma unroll
        for (int i = 0; i < kChannels; ++i) {
#pragma unroll
          for (int n = 0; n < kStates; ++n) {
            const float decay = start ? 0.0f : gpu::exp2_fast(s[i] * A_[i][n]);
            h[i][n] = fmaf(decay, start ? 0.0f : h[i][n], su[i] * B[n]);
          }
        }
      }
      park(sub, h);
    }
  }

  // What a few steps leave for the way back.
  struct Trace {
    Held before[kSub], decay[kSub];
    float y[kChannels][kSub];       // C.h, this lane's share
    float sums[kSub][2 * kStates];  // dB, dC over this thread's channels
  };

  template <bool kStarts>
  __device__ void step_forward(int t, int j, Held& h, Trace& trace) const {
    float B[kStates], C[kStates], s[kChannels], su[kChannels], dyg[kChannels];
    read_states(0, t, B);
    read_states(1, t, C);
    read_pair(0, t, s);
    read_pair(1, t, su);
    read_pair(2, t, dyg);
    const bool start = starts_at<kStarts>(t);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float y = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float before = start ? 0.0f : h[i][n];
        const float decay = start ? 0.0f : gpu::exp2_fast(s[i] * A_[i][n]);
        trace.before[j][i][n] = before;
        trace.decay[j][i][n] = decay;
        h[i][n] = fmaf(decay, before, su[i] * B[n]);
        y = fmaf(C[n], h[i][n], y);
        const float dC = dyg[i] * h[i][n];
        trace.sums[j][kStates + n] = i == 0 ? dC : trace.sums[j][kStates + n] + dC;
      }
      trace.y[i][j] = y;
    }
  }

  __device__ void step_back(int t, int j, Trace& trace, float (&through_B)[kChannels][kSub],
                            float (&through_A)[kChannels][kSub]) {
    float B[kStates], C[kStates], s[kChannels], su[kChannels], dyg[kChannels];
    read_states(0, t, B);
    read_states(1, t, C);
    read_pair(0, t, s);
    read_pair(1, t, su);
    read_pair(2, t, dyg);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float by_B = 0.0f, by_A = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float g = fmaf(C[n], dyg[i], adjoint_[i][n]);
        trace.sums[j][n] = i == 0 ? g * su[i] : fmaf(g, su[i], trace.sums[j][n]);
        by_B = fmaf(g, B[n], by_B);
        adjoint_[i][n] = trace.decay[j][i][n] * g;
        const float passed = adjoint_[i][n] * trace.before[j][i][n];
        by_A = fmaf(A_[i][n], passed, by_A);
        sum_A_[i][n] = fmaf(s[i], passed, sum_A_[i][n]);
      }
      through_B[i][j] = by_B;
      through_A[i][j] = by_A;
    }
  }

  template <bool kStarts>
  __device__ void march(int64_t first) {
    march_forward<kStarts>(first);
    int parity = 0;
#pragma unroll 1
    for (int sub = kSubs - 1; sub >= 0; --sub) {
      Trace trace;
      float through_B[kChannels][kSub], through_A[kChannels][kSub];
      {
        Held h;
        if (sub > 0) {
          fetch(sub - 1, h);
        } else {
          read_kept(first, h);
        }
#pragma unroll
        for (int j = 0; j < kSub; ++j) step_forward<kStarts>(sub * kSub + j, j, h, trace);
      }
#pragma unroll
      for (int j = kSub - 1; j >= 0; --j) {
        step_back(sub * kSub + j, j, trace, through_B, through_A);
      }
      leave_signals(sub, trace.y, through_B, through_A);
#pragma unroll
      for (int j = 0; j < kSub; ++j) leave_sums(parity, sub * kSub + j, trace.sums[j]);
      if (sub * kSub % Shared::kFlush == 0) {
        flush(first, sub * kSub, parity);
        parity ^= 1;
      }
    }
  }

  // Adds up over the lanes of a channel what finish() wants, in the place of what all have read.
  __device__ void leave_signals(int sub, float (&y)[kChannels][kSub],
                                float (&through_B)[kChannels][kSub],
                                float (&through_A)[kChannels][kSub]) const {
    constexpr int kShare = kLanes / kSub;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      gpu::add_lanes<kSub, kLanes / 2, 1>(y[i]);
      gpu::add_lanes<kSub, kLanes / 2, 1>(through_B[i]);
      gpu::add_lanes<kSub, kLanes / 2, 1>(through_A[i]);
    }
    __syncwarp();
    if (lane_ % kShare != 0) return;
    const int t = sub * kSub + lane_ / kShare;
    put(1, t, mine_, make_float2(through_B[0][0], through_B[1][0]));
    put(2, t, mine_, make_float2(through_A[0][0], through_A[1][0]));
    put(3, t, mine_, make_float2(y[0][0], y[1][0]));
  }

  // Adds up over the channels of a warp.
  __device__ void leave_sums(int parity, int t, float (&sums)[2 * kStates]) const {
    constexpr int kLeft = 2 * kStates * kLanes / 32;  // sums that a lane is left with
    static_assert(kLeft >= 1);
    gpu::add_lanes<2 * kStates, 16, kLanes>(sums);
    const int place = gpu::place_of_sum<2 * kStates, 16, kLanes>();
#pragma unroll
    for (int k = 0; k < kLeft; ++k) {
      const int which = (place + k) / kStates, n = lane_ * kStates + (place + k) % kStates;
      shared_.sums[parity][t % Shared::kFlush][threadIdx.x / 32][which * kPadded + n] = sums[k];
    }
  }

  // Adds up over the warps.
  __device__ void flush(int64_t first, int t, int parity) const {
    constexpr int kPlaces = 2 * kPadded, kAtOnce = kSelectiveThreads / kPlaces;
    static_assert(kSelectiveThreads % kPlaces == 0);
    const int place = threadIdx.x % kPlaces, n = place % kPadded, rows = rows_from(first) - t;
    const int begin = threadIdx.x / kPlaces;
    const int64_t stride = launch_.inputs.stride(2);
    const bool there = n < static_cast<int>(launch_.args.in.A.extent(1));
    float* out = &launch_.inputs(tile_, b_, first + t, group_, place / kPadded, n) + begin * stride;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < Shared::kFlush / kAtOnce; ++k, out += kAtOnce * stride) {
      const int j = begin + k * kAtOnce;
      float sum = 0.0f;
#pragma unroll
      for (int warp = 0; warp < Shared::kWarps; ++warp) {
        sum += shared_.sums[parity][j][warp][place];
      }
      if (there && j < rows) *out = sum;
    }
  }

  // The adjoint alone.
  template <bool kStarts>
  __device__ void march_ends() {
#pragma unroll 1
    for (int first = kSteps - kSub; first >= 0; first -= kSub) {
#pragma unroll
      for (int j = kSub - 1; j >= 0; --j) {
        const int t = first + j;
        float C[kStates], s[kChannels], dyg[kChannels];
        read_states(1, t, C);
        read_pair(0, t, s);
        read_pair(2, t, dyg);
        const bool start = starts_at<kStarts>(t);
#pragma unroll
        for (int i = 0; i < kChannels; ++i) {
          total_[i] = start ? INFINITY : total_[i] + s[i];
#pragma unroll
          for (int n = 0; n < kStates; ++n) {
            const float g = fmaf(C[n], dyg[i], adjoint_[i][n]);
            adjoint_[i][n] = start ? 0.0f : gpu::exp2_fast(s[i] * A_[i][n]) * g;
          }
        }
      }
    }
  }

  // Through gate, skip and step size.
  __device__ void finish(int64_t t, int stage) {
    const auto& args = launch_.args;
    const auto& in = args.in;
    const int rows = rows_from(t), c = column();
    if (c >= width_) return;
    const bool soft = in.step_size == StepSize::kSoftplus, gated = !in.z.absent();
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
    const float2 skip = *reinterpret_cast<const float2*>(&shared_.skip[c]);
    const auto place = [&](const View<T, 3>& x) {
      return x.absent() ? nullptr : &x(b_, t + first_row(), first_ + c);
    };
    T *du_at = place(args.du), *ddt_at = place(args.ddt), *dz_at = place(args.dz);
#pragma unroll 2
    for (int i = first_row(); i < rows; i += kRowsAtOnce) {
      const float2 u = gpu::pair_of(&shared_.raw[stage][0][i][c]);
      const float2 dt = gpu::pair_of(&shared_.raw[stage][1][i][c]);
      const float2 z = gpu::pair_of(&shared_.raw[stage][2][i][c]);
      const float2 dy = gpu::pair_of(&shared_.raw[stage][3][i][c]);
      const float2 s = get(0, i, c), by_B = get(1, i, c), by_A = get(2, i, c), y = get(3, i, c);
      const float zs[2] = {z.x, z.y}, dys[2] = {dy.x, dy.y}, us[2] = {u.x, u.y};
      const float raws[2] = {dt.x + bias.x, dt.y + bias.y}, skips[2] = {skip.x, skip.y};
      const float ss[2] = {s.x, s.y}, ys[2] = {y.x, y.y};
      const float Bs[2] = {by_B.x, by_B.y}, As[2] = {by_A.x, by_A.y};
      float du[2], ddt[2], dz[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const float open = gated ? gpu::sigmoid(zs[k]) : 0.0f;
        const float dyg = gated ? dys[k] * zs[k] * open : dys[k];
        dz[k] = dys[k] * fmaf(skips[k], us[k], ys[k]) * gpu::silu_slope(zs[k], open);
        du[k] = fmaf(ss[k], Bs[k], skips[k] * dyg);
        const float ds = fmaf(us[k], Bs[k], As[k] * gpu::kLn2);
        ddt[k] = soft ? ds * gpu::sigmoid(raws[k]) : ds;
        sum_D_[k] = c + k < width_ ? fmaf(dyg, us[k], sum_D_[k]) : 0.0f;
        sum_bias_[k] = c + k < width_ ? sum_bias_[k] + ddt[k] : 0.0f;
      }
      store(du_at, args.du.stride(2), launch_.paired_du, c, du);
      store(ddt_at, args.ddt.stride(2), launch_.paired_ddt, c, ddt);
      if (gated) store(dz_at, args.dz.stride(2), launch_.paired_dz, c, dz);
      du_at += kRowsAtOnce * args.du.stride(1);
      ddt_at += kRowsAtOnce * args.ddt.stride(1);
      dz_at += kRowsAtOnce * args.dz.stride(1);
    }
  }

  __device__ void store(T* place, int64_t stride, bool paired, int c, const float (&two)[2]) const {
    gpu::Pair<T> pair;
    gpu::narrow(two[0], pair.first);
    gpu::narrow(two[1], pair.second);
    if (paired) {
      *reinterpret_cast<gpu::Pair<T>*>(place) = pair;
    } else {
      place[0] = pair.first;
      if (c + 1 < width_) place[stride] = pair.second;
    }
  }

  const SelectiveGradLaunch<T>& launch_;
  Shared& shared_;
  int64_t b_, segment_, group_, tile_, first_, begin_, end_;
  int width_, lane_, mine_;  // channels of the block; lane in the channel; first channel held
  Held A_, adjoint_, sum_A_;
  float total_[kChannels], sum_D_[2], sum_bias_[2];
};

template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
__global__ void __launch_bounds__(kSelectiveThreads, 2)
    grad_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Adjoint = Adjoint<T, kStates, kLanes, kChannels, kPass>;
  Adjoint(launch, *reinterpret_cast<typename Adjoint::Shared*>(bytes)).run();
}

}  // namespace selective_cuda
}  // namespace longwave::ops
