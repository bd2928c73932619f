// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_outputs_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// Ways through a few steps of a tile: forwards from the states before them, which leaves y and
/// sums for dC, back from the adjoint behind them, which leaves everything else, and back for the
/// adjoint alone.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradSteps : public GradOutputs<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradOutputs<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kAtOnce, Base::kSub, Base::kSteps;
  using Held = float[kChannels][kStates];

  using Base::Base;

 protected:
  using Base::add_channels, Base::keep_sums, Base::lane_, Base::mine_, Base::plane_pair;
  using Base::shared_, Base::stage;
  using typename Base::ChannelSums;

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
    gpu::read_fours(&shared_.inputs[which][t][lane_ * kStates], to);
  }
  __device__ void read_pair(int plane, int t, float (&to)[kChannels]) const {
    const float2 two = plane_pair(plane, t);
    to[0] = two.x, to[1] = two.y;
  }

  // Puts numbers of a thread away for those before each few steps, and fetches them again.
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

  // What a few steps leave for the way back.
  struct Trace {
    Held before[kSub], decay[kSub];
    float s[kSub][kChannels], su[kSub][kChannels];
    float y[kChannels][kSub];  // C.h, this lane's share
  };
  // What goes through B and A on the way back, this lane's share.
  struct Through {
    float B[kChannels][kSub], A[kChannels][kSub];
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

  // Operands of a step are asked for before the step ahead of it leaves anything in shared memory,
  // and sums over channels are put away a step after they were asked for: both are on their way
  // meanwhile.
  template <bool kStarts>
  __device__ void go_forward(int t, Held& h, Trace& trace, Inputs& in, ChannelSums& sums) const {
#pragma unroll
    for (int j = 0; j < kSub; ++j) {
      read_pair(0, t + j, trace.s[j]);
      read_pair(2, t + j, trace.su[j]);
    }
    in = read_inputs(t);
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
  }
  // Begins with the inputs of the last step and the sums of the last that go_forward left.
  template <bool kStarts>
  __device__ void go_back(int t, const Trace& trace, Inputs& in, ChannelSums& sums,
                          Through& through) {
#pragma unroll
    for (int j = kSub - 1; j >= 0; --j) {
      const Inputs next = j > 0 ? read_inputs(t + j - 1) : in;
      float dB[kStates];
      step_back<kStarts>(t + j, j, in, trace, through, dB);
      if (j == kSub - 1) keep_sums(t + kSub - kAtOnce, 1, sums);
      if (j < kSub - 1 && j % kAtOnce == kAtOnce - 1) keep_sums(t + j + 1, 0, sums);
      stage(j, dB);
      if (j % kAtOnce == 0) add_channels(sums);
      in = next;
    }
    add_signal(through.B);
    add_signal(through.A);
    keep_sums(t, 0, sums);
  }

  // The adjoint alone, and the sum of step sizes.
  template <bool kStarts>
  __device__ void pass_back(int first) {
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

  Held A_, adjoint_, sum_A_;
  float total_[kChannels];

 private:
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

  template <bool kStarts>
  __device__ void step_back(int t, int j, const Inputs& in, const Trace& trace, Through& through,
                            float (&dB)[kStates]) {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      float by_B = 0.0f, by_A = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const float g = fmaf(in.C[n], in.dyg[i], adjoint_[i][n]);
        dB[n] = i == 0 ? g * trace.su[j][i] : fmaf(g, trace.su[j][i], dB[n]);
        by_B = n == 0 ? g * in.B[n] : fmaf(g, in.B[n], by_B);
        // What is passed on from another sequence must not matter, even infinity.
        adjoint_[i][n] = starts_at<kStarts>(t) ? 0.0f : trace.decay[j][i][n] * g;
        const float passed = adjoint_[i][n] * trace.before[j][i][n];
        by_A = n == 0 ? A_[i][n] * passed : fmaf(A_[i][n], passed, by_A);
        sum_A_[i][n] = fmaf(trace.s[j][i], passed, sum_A_[i][n]);
      }
      through.B[i][j] = by_B;
      through.A[i][j] = by_A;
    }
  }

  // Adds up over the lanes of a channel; each keeps a step's sum, or shares it with neighbours.
  __device__ void add_signal(float (&x)[kChannels][kSub]) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) gpu::add_lanes<kSub, kLanes, 2>(x[i]);
  }
};

}  // namespace longwave::ops::selective_cuda
