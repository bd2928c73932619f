// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_outputs_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// One block's channels and segment of time, backwards. kEnds finds only what the adjoint before
/// the segment takes from within it.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Adjoint : private GradOutputs<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradOutputs<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kAll, Base::kAtOnce, Base::kSteps, Base::kSub, Base::kSubs, Base::kWidth;

  using Base::Base;

  __device__ void run() {
    begin();
    int64_t t = begin_ + (end_ - begin_ - 1) / kSteps * kSteps;
    begin_loads(t);
    if (kAll) begin_outputs(t);
    load(t);
    while (true) {
      gpu::finish_copies();
      __syncthreads();
      const bool starts = prepare(t);
      if (kAll) {
        starts ? march<true>(t) : march<false>(t);
      } else {
        starts ? march_ends<true>() : march_ends<false>();
      }
      t -= kSteps;
      if (t < begin_) break;
      __syncthreads();
      load(t);
    }
    end();
  }

 private:
  using Base::add_channels, Base::begin_outputs, Base::end_signals, Base::finish, Base::flush;
  using Base::b_, Base::begin_, Base::end_, Base::first_, Base::lane_, Base::tile_, Base::width_;
  using Base::begin_loads, Base::channel, Base::holds, Base::load, Base::stage;
  using Base::launch_, Base::mine_, Base::segment_, Base::shared_;
  using Base::plane_pair, Base::prepare, Base::row, Base::rows_from, Base::sums_of;

  // Waits until the block of the later segment has handed over the adjoint between the two.
  __device__ void await_adjoint() const {
    if (threadIdx.x == 0) {
      const uint32_t* const there = &launch_.handed(b_, segment_, tile_);
      while (gpu::read_acquire(there) == 0) __nanosleep(100);
    }
    __syncthreads();
  }
  __device__ void hand_over_adjoint() const {
    __syncthreads();
    if (threadIdx.x == 0) gpu::write_release(&launch_.handed(b_, segment_ - 1, tile_), 1u);
  }

  // Parameters, and the adjoint behind the segment.
  __device__ void begin() {
    const auto& args = launch_.args;
    const bool later = segment_ + 1 < launch_.segments;
    if (kAll && launch_.turn != nullptr && later) await_adjoint();
    const bool carried = launch_.turn != nullptr ? later : launch_.segments > 1;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      total_[i] = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const int64_t c = channel(i), state = lane_ * kStates + n;
        A_[i][n] = holds(i, n) ? args.in.A(c, state) * gpu::kLog2E : 0.0f;
        sum_A_[i][n] = adjoint_[i][n] = 0.0f;
        if (!kAll || !holds(i, n)) continue;
        if (carried) {
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
    const bool hands = kAll && launch_.turn != nullptr && segment_ > 0;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (!holds(i, n)) continue;
        const int64_t c = channel(i), state = lane_ * kStates + n;
        if (hands) launch_.ends(b_, segment_ - 1, state, c) = adjoint_[i][n];
        if (!kAll) launch_.ends(b_, segment_, state, c) = adjoint_[i][n];
        if (kAll && segment_ == 0) args.dh0(b_, c, state) = adjoint_[i][n];
        if (kAll) launch_.A(row(), state, c) = sum_A_[i][n];
      }
      if (!kAll && lane_ == 0 && mine_ + i < width_) {
        launch_.totals(b_, segment_, channel(i)) = total_[i];
      }
    }
    if (hands) hand_over_adjoint();
    if (kAll) end_signals();
  }

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
#pragma unroll
    for (int n = 0; n < kStates; n += 4) {
      const float4 four =
          *reinterpret_cast<const float4*>(&shared_.inputs[which][t][lane_ * kStates + n]);
      to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
    }
  }
  __device__ void read_pair(int plane, int t, float (&to)[kChannels]) const {
    const float2 two = plane_pair(plane, t);
    to[0] = two.x, to[1] = two.y;
  }

  using Held = float[kChannels][kStates];

  __device__ void park(int sub, const Held& h) const {
    const float* numbers = &h[0][0];
#pragma unroll
    for (int k = 0; k < Shared::kHeld; ++k) {
      shared_.before[sub][k][threadIdx.x] =
          make_float4(numbers[4 * k], numbers[4 * k + 1], numbers[4 * k + 2], numbers[4 * k + 3]);
    }
  }
  __device__ void fetch(int sub, Held& h) const {
    float* numbers = &h[0][0];
#pragma unroll
    for (int k = 0; k < Shared::kHeld; ++k) {
      const float4 four = shared_.before[sub][k][threadIdx.x];
      numbers[4 * k] = four.x, numbers[4 * k + 1] = four.y;
      numbers[4 * k + 2] = four.z, numbers[4 * k + 3] = four.w;
    }
  }

  template <bool kStarts>
  __device__ bool starts_at(int t) const {
    return kStarts && shared_.starts[t] != 0;
  }

  // The states before each few steps of the tile: those before the last in h, the others parked
  // beside what was kept.
  template <bool kStarts>
  __device__ void march_forward(Held& h) const {
    fetch(0, h);
#pragma unroll 1
    for (int sub = 0; sub + 1 < kSubs; ++sub) {
      if (sub > 0) park(sub, h);
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const int t = sub * kSub + j;
        float B[kStates], s[kChannels], su[kChannels];
        read_states(0, t, B);
        read_pair(0, t, s);
        read_pair(2, t, su);
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
    }
  }

  // What a few steps leave for the way back.
  struct Trace {
    Held before[kSub], decay[kSub];
    float s[kSub][kChannels], su[kSub][kChannels];
    float y[kChannels][kSub];  // C.h, this lane's share
  };

  template <bool kStarts>
  __device__ void step_forward(int t, int j, Held& h, Trace& trace) const {
    float B[kStates], C[kStates], dyg[kChannels], dC[kStates];
    read_states(0, t, B);
    read_states(1, t, C);
    read_pair(0, t, trace.s[j]);
    read_pair(2, t, trace.su[j]);
    read_pair(1, t, dyg);
    const bool start = starts_at<kStarts>(t);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float y = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float before = start ? 0.0f : h[i][n];
        const float decay = start ? 0.0f : gpu::exp2_fast(trace.s[j][i] * A_[i][n]);
        trace.before[j][i][n] = before;
        trace.decay[j][i][n] = decay;
        h[i][n] = fmaf(decay, before, trace.su[j][i] * B[n]);
        y = n == 0 ? C[n] * h[i][n] : fmaf(C[n], h[i][n], y);
        dC[n] = i == 0 ? dyg[i] * h[i][n] : fmaf(dyg[i], h[i][n], dC[n]);
      }
      trace.y[i][j] = y;
    }
    stage(j, dC);
  }

  __device__ void step_back(int t, int j, const Trace& trace, float (&through_B)[kChannels][kSub],
                            float (&through_A)[kChannels][kSub]) {
    float B[kStates], C[kStates], dyg[kChannels], dB[kStates];
    read_states(0, t, B);
    read_states(1, t, C);
    read_pair(1, t, dyg);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float by_B = 0.0f, by_A = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float g = fmaf(C[n], dyg[i], adjoint_[i][n]);
        dB[n] = i == 0 ? g * trace.su[j][i] : fmaf(g, trace.su[j][i], dB[n]);
        by_B = n == 0 ? g * B[n] : fmaf(g, B[n], by_B);
        adjoint_[i][n] = trace.decay[j][i][n] * g;
        const float passed = adjoint_[i][n] * trace.before[j][i][n];
        by_A = n == 0 ? A_[i][n] * passed : fmaf(A_[i][n], passed, by_A);
        sum_A_[i][n] = fmaf(trace.s[j][i], passed, sum_A_[i][n]);
      }
      through_B[i][j] = by_B;
      through_A[i][j] = by_A;
    }
    stage(j, dB);
  }

  template <bool kStarts>
  __device__ void march(int64_t first) {
    Held h;
    march_forward<kStarts>(h);
    const int rows = rows_from(first);
#pragma unroll 1
    for (int sub = kSubs - 1; sub >= 0; --sub) {
      const int t = sub * kSub;
      float* const sums = sums_of(sub);
      Trace trace;
      float through_B[kChannels][kSub], through_A[kChannels][kSub];
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        step_forward<kStarts>(t + j, j, h, trace);
        if (j % kAtOnce == kAtOnce - 1) add_channels(sums, j + 1 - kAtOnce, 1);
      }
      add_signal(trace.y);
#pragma unroll
      for (int j = kSub - 1; j >= 0; --j) {
        step_back(t + j, j, trace, through_B, through_A);
        if (j % kAtOnce == 0) add_channels(sums, j, 0);
      }
      add_signal(through_B);
      add_signal(through_A);
      finish(t, rows - t, trace.y, through_B, through_A);
      if (!Shared::kWaits) {
        __syncthreads();
        flush(sub, rows - t);
      }
      if (sub > 0) fetch(sub - 1, h);
    }
    if (!Shared::kWaits) return;
    __syncthreads();
#pragma unroll 2
    for (int sub = kSubs - 1; sub >= 0; --sub) flush(sub, rows - sub * kSub);
  }

  // Adds up over the lanes of a channel; each keeps a step's sum, or shares it with neighbours.
  __device__ void add_signal(float (&x)[kChannels][kSub]) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) gpu::add_lanes<kSub, kLanes / 2, 1>(x[i]);
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
        read_pair(1, t, dyg);
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

  Held A_, adjoint_, sum_A_;
  float total_[kChannels];
};

template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
__global__ void __launch_bounds__(kSelectiveThreads,
                                  GradLayout<T, kStates, kLanes, kChannels>::kBlocks)
    grad_kernel(const __grid_constant__ SelectiveGradLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Adjoint = Adjoint<T, kStates, kLanes, kChannels, kPass>;
  Adjoint(launch, *reinterpret_cast<typename Adjoint::Shared*>(bytes)).run();
}

}  // namespace selective_cuda
}  // namespace longwave::ops
