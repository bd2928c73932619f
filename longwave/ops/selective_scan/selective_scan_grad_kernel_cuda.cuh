// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_chain_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// One block's channels and segment of time, or its tiles of a chain, backwards. kEnds finds only
/// what the adjoint before the segment takes from within it.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Adjoint : private GradChain<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradChain<T, kStates, kLanes, kChannels, kPass>;
  using Base::kAll, Base::kChain, Base::kSteps, Base::kSub, Base::kSubs, Base::kWidth;
  using typename Base::Shared;

  using Base::Base;

  __device__ void run() {
    begin();
    int64_t t = place().begin + (place().end - place().begin - 1) / stride() * stride();
    begin_loads();
    if (kAll) begin_outputs(t);
    __syncthreads();
    load(t);
    while (true) {
      gpu::finish_copies();
      __syncthreads();
      Held h;
      if (kAll) fetch_kept(h);
      const bool starts = prepare(t), more = t - stride() >= place().begin;
      if (kChain) {
        starts ? this->template march_chained<true>(t, h)
               : this->template march_chained<false>(t, h);
      } else if (kAll) {
        starts ? march<true>(t, h) : march<false>(t, h);
      } else {
        starts ? march_ends<true>() : march_ends<false>();
      }
      __syncthreads();
      if (kAll) next_outputs();
      if (more) load(t - stride());
      if (kAll && Shared::kWaits) flush(t, 0, rows_from(t));
      if (!more) break;
      t -= stride();
    }
    end();
  }

 private:
  using Base::A_, Base::adjoint_, Base::sum_A_, Base::total_;
  using Base::begin_loads, Base::begin_outputs, Base::end_signals, Base::finish_and_flush;
  using Base::channel, Base::holds, Base::load, Base::place, Base::row, Base::rows_from;
  using Base::fetch, Base::next_outputs, Base::park, Base::prepare, Base::stride;
  using Base::flush;
  using Base::lane_, Base::launch_, Base::mine_, Base::read_pair, Base::read_states, Base::shared_;
  using Base::width_;
  using typename Base::Held;

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
        if (!kAll || kChain || !holds(i, n)) continue;
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
        if (kAll && !kChain && place().segment == 0) args.dh0(place().b, c, state) = adjoint_[i][n];
        if (kAll) launch_.A(row(), state, c) = sum_A_[i][n];
      }
      if (!kAll && lane_ == 0 && mine_ + i < width_) {
        launch_.totals(place().b, place().segment, channel(i)) = total_[i];
      }
    }
    if (hands) hand_over_adjoint();
    if (kAll) end_signals();
  }

  __device__ void fetch_kept(Held& h) const {
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      const float2 two =
          *reinterpret_cast<const float2*>(&shared_.kept[lane_ * kStates + n][mine_]);
      h[0][n] = two.x, h[1][n] = two.y;
    }
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
        const bool start = this->template starts_at<kStarts>(sub * kSub + j);
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

  // Each few steps, from the last on, forwards and back.
  template <bool kStarts>
  __device__ void march(int64_t first, Held& h) {
    march_forward<kStarts>(h);
    const int rows = rows_from(first);
#pragma unroll 1
    for (int sub = kSubs - 1; sub >= 0; --sub) {
      const int t = sub * kSub;
      typename Base::Trace trace;
      typename Base::Through through;
      typename Base::Inputs in;
      typename Base::ChannelSums sums;
      this->template go_forward<kStarts>(t, h, trace, in, sums);
      this->template go_back<kStarts>(t, trace, in, sums, through);
      fetch(max(sub - 1, 0), h);
      finish_and_flush(first, t, rows - t, trace.y, through.B, through.A);
    }
  }

  template <bool kStarts>
  __device__ void march_ends() {
#pragma unroll 1
    for (int t = kSteps - kSub; t >= 0; t -= kSub) this->template pass_back<kStarts>(t);
  }
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
