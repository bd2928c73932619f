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
    int64_t t = place().begin + (place().end - place().begin - 1) / kSteps * kSteps;
    begin_loads();
    if (kAll) begin_outputs(t);
    __syncthreads();
    load(t);
    while (true) {
      gpu::finish_copies();
      __syncthreads();
      Held h;
      if (kAll) fetch_kept(h);
      const bool starts = prepare(t), more = t - kSteps >= place().begin;
      if (kAll) {
        starts ? march<true>(t, h) : march<false>(t, h);
      } else {
        starts ? march_ends<true>() : march_ends<false>();
      }
      __syncthreads();
      if (kAll) next_outputs();
      if (more) load(t - kSteps);
      if (kAll && Shared::kWaits) flush(t, 0, rows_from(t));
      if (!more) break;
      t -= kSteps;
    }
    end();
  }

 private:
  using Base::add_channels, Base::begin_outputs, Base::end_signals, Base::finish, Base::flush;
  using Base::begin_loads, Base::channel, Base::holds, Base::keep_sums, Base::load;
  using Base::lane_, Base::launch_, Base::mine_, Base::place, Base::shared_, Base::width_;
  using Base::next_outputs, Base::plane_pair, Base::prepare, Base::row, Base::rows_from;
  using Base::stage;
  using typename Base::ChannelSums;
  using Held = float[kChannels][kStates];

  // Waits until the block of the later segment has handed over the adjoint between the two.
  __device__ void await_adjoint() const {
    if (threadIdx.x == 0) {
      const uint32_t* const there = &launch_.handed(place().b, place().segment, place().tile);
      while (gpu::read_acquire(there) == 0) __nanosleep(100);
    }
    __syncthreads();
  }
  __device__ void hand_over_adjoint() const {
    __syncthreads();
    if (threadIdx.x == 0)
      gpu::write_release(&launch_.handed(place().b, place().segment - 1, place().tile), 1u);
  }

  // Parameters, and the adjoint behind the segment.
  __device__ void begin() {
    const auto& args = launch_.args;
    const bool later = place().segment + 1 < launch_.segments;
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
          adjoint_[i][n] = launch_.ends(place().b, place().segment, state, c);
        } else if (!args.dh.absent()) {
          adjoint_[i][n] = args.dh(place().b, c, state);
        }
      }
    }
    for (int i = threadIdx.x; i < kWidth; i += kSelectiveThreads) {
      const bool there = i < width_;
      shared_.bias[i] =
          there && !args.in.dt_bias.absent() ? args.in.dt_bias(place().first + i) : 0.0f;
      shared_.skip[i] = there && !args.in.D.absent() ? args.in.D(place().first + i) : 0.0f;
    }
  }

  __device__ void end() {
    const auto& args = launch_.args;
    const bool hands = kAll && launch_.turn != nullptr && place().segment > 0;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        if (!holds(i, n)) continue;
        const int64_t c = channel(i), state = lane_ * kStates + n;
        if (hands) launch_.ends(place().b, place().segment - 1, state, c) = adjoint_[i][n];
        if (!kAll) launch_.ends(place().b, place().segment, state, c) = adjoint_[i][n];
        if (kAll && place().segment == 0) args.dh0(place().b, c, state) = adjoint_[i][n];
        if (kAll) launch_.A(row(), state, c) = sum_A_[i][n];
      }
      if (!kAll && lane_ == 0 && mine_ + i < width_) {
        launch_.totals(place().b, place().segment, channel(i)) = total_[i];
      }
    }
    if (hands) hand_over_adjoint();
    if (kAll) end_signals();
  }

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
    gpu::read_fours(&shared_.inputs[which][t][lane_ * kStates], to);
  }
  __device__ void read_pair(int plane, int t, float (&to)[kChannels]) const {
    const float2 two = plane_pair(plane, t);
    to[0] = two.x, to[1] = two.y;
  }

  __device__ void park(int sub, const Held& h) const {
    const float* numbers = &h[0][0];
#pragma unroll
    for (int k = 0; k < Shared::kHeld; ++k) {
      shared_.before[sub][k][threadIdx.x] =
          make_float4(numbers[4 * k], numbers[4 * k + 1], numbers[4 * k + 2], numbers[4 * k + 3]);
    }
  }
  __device__ void fetch_kept(Held& h) const {
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      const float2 two =
          *reinterpret_cast<const float2*>(&shared_.kept[lane_ * kStates + n][mine_]);
      h[0][n] = two.x, h[1][n] = two.y;
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

  // From the states before the tile in h to those before its last few steps; those before each few
  // steps ahead of them are parked.
  template <bool kStarts>
  __device__ void march_forward(Held& h) const {
#pragma unroll 1
    for (int sub = 0; sub + 1 < kSubs; ++sub) {
      float B[kSub][kStates], s[kSub][kChannels], su[kSub][kChannels];
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const int t = sub * kSub + j;
        read_states(0, t, B[j]);
        read_pair(0, t, s[j]);
        read_pair(2, t, su[j]);
      }
      park(sub, h);
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const bool start = starts_at<kStarts>(sub * kSub + j);
#pragma unroll
        for (int i = 0; i < kChannels; ++i) {
#pragma unroll
          for (int n = 0; n < kStates; ++n) {
            const float decay = start ? 0.0f : gpu::exp2_fast(s[j][i] * A_[i][n]);
            h[i][n] = fmaf(decay, start ? 0.0f : h[i][n], su[j][i] * B[j][n]);
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

  // What both ways through a step need beside its trace.
  struct Inputs {
    float B[kStates], C[kStates], dyg[kChannels];
  };
  __device__ Inputs read_inputs(int t) const {
    Inputs inputs;
    read_states(0, t, inputs.B);
    read_states(1, t, inputs.C);
    read_pair(1, t, inputs.dyg);
    return inputs;
  }

  template <bool kStarts>
  __device__ void step_forward(int t, int j, const Inputs& in, Held& h, Trace& trace,
                               float (&dC)[kStates]) const {
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
        h[i][n] = fmaf(decay, before, trace.su[j][i] * in.B[n]);
        y = n == 0 ? in.C[n] * h[i][n] : fmaf(in.C[n], h[i][n], y);
        dC[n] = i == 0 ? in.dyg[i] * h[i][n] : fmaf(in.dyg[i], h[i][n], dC[n]);
      }
      trace.y[i][j] = y;
    }
  }

  __device__ void step_back(int j, const Inputs& in, const Trace& trace,
                            float (&through_B)[kChannels][kSub],
                            float (&through_A)[kChannels][kSub], float (&dB)[kStates]) {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float by_B = 0.0f, by_A = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float g = fmaf(in.C[n], in.dyg[i], adjoint_[i][n]);
        dB[n] = i == 0 ? g * trace.su[j][i] : fmaf(g, trace.su[j][i], dB[n]);
        by_B = n == 0 ? g * in.B[n] : fmaf(g, in.B[n], by_B);
        adjoint_[i][n] = trace.decay[j][i][n] * g;
        const float passed = adjoint_[i][n] * trace.before[j][i][n];
        by_A = n == 0 ? A_[i][n] * passed : fmaf(A_[i][n], passed, by_A);
        sum_A_[i][n] = fmaf(trace.s[j][i], passed, sum_A_[i][n]);
      }
      through_B[i][j] = by_B;
      through_A[i][j] = by_A;
    }
  }

  // Operands of a step are asked for before the step ahead of it leaves anything in shared memory,
  // and sums over channels are put away a step after they were asked for: both are on their way
  // meanwhile.
  template <bool kStarts>
  __device__ void march(int64_t first, Held& h) {
    march_forward<kStarts>(h);
    const int rows = rows_from(first);
#pragma unroll 1
    for (int sub = kSubs - 1; sub >= 0; --sub) {
      const int t = sub * kSub;
      Trace trace;
      float through_B[kChannels][kSub], through_A[kChannels][kSub];
      ChannelSums sums;
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        read_pair(0, t + j, trace.s[j]);
        read_pair(2, t + j, trace.su[j]);
      }
      Inputs in = read_inputs(t);
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const Inputs next = j + 1 < kSub ? read_inputs(t + j + 1) : in;
        float dC[kStates];
        step_forward<kStarts>(t + j, j, in, h, trace, dC);
        if (j > 0 && j % kAtOnce == 0) keep_sums(t + j - kAtOnce, 1, sums);
        stage(j, dC);
        if (j % kAtOnce == kAtOnce - 1) add_channels(sums);
        in = next;
      }
      add_signal(trace.y);
#pragma unroll
      for (int j = kSub - 1; j >= 0; --j) {
        const Inputs next = j > 0 ? read_inputs(t + j - 1) : in;
        float dB[kStates];
        step_back(j, in, trace, through_B, through_A, dB);
        if (j == kSub - 1) keep_sums(t + kSub - kAtOnce, 1, sums);
        if (j < kSub - 1 && j % kAtOnce == kAtOnce - 1) keep_sums(t + j + 1, 0, sums);
        stage(j, dB);
        if (j % kAtOnce == 0) add_channels(sums);
        in = next;
      }
      add_signal(through_B);
      add_signal(through_A);
      keep_sums(t, 0, sums);
      fetch(max(sub - 1, 0), h);
      finish(t, rows - t, trace.y, through_B, through_A);
      if (!Shared::kWaits) {
        __syncthreads();
        flush(first, t, rows - t);
      }
    }
  }

  // Adds up over the lanes of a channel; each keeps a step's sum, or shares it with neighbours.
  __device__ void add_signal(float (&x)[kChannels][kSub]) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) gpu::add_lanes<kSub, kLanes, 2>(x[i]);
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
