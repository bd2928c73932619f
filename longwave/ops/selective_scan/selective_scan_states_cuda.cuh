// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_outputs_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// The states that a thread holds while it scans, and where they come from and go to.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass,
          SelectiveWork kWork>
class States : protected Outputs<T, kStates, kLanes, kChannels, kPass, kWork> {
 public:
  using Base = Outputs<T, kStates, kLanes, kChannels, kPass, kWork>;
  using Base::kAll, Base::kWarpWidth;
  using typename Base::Shared, typename Base::Slot;

  __device__ States(const SelectiveScanLaunch<T>& launch, Shared& shared) : Base(launch, shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % kSelectiveThreads / 32;
    lane_ = lane / kBeside % kLanes;
    mine_ = warp * kWarpWidth + (lane % kBeside + lane / kBeside / kLanes * kBeside) * kChannels;
    swap_ = kChannels == 2 && lane_ >= kLanes / 2 ? 1 : 0;
  }

 protected:
  using Base::b_, Base::first_, Base::segment_, Base::width_, Base::launch_, Base::shared_;

  // Channels whose threads sit between two threads of one. Where neighbours in a warp read the same
  // states' B and C, shared memory serves both at once.
  static constexpr int kBeside = kLanes * kChannels <= 8 ? 2 : 1;

  // The channel of the block that is i-th here. Of two, each half of the lanes has another first,
  // so that a sum over lanes leaves a lane the first of its own without choosing.
  __device__ int place(int i) const { return mine_ + (kChannels == 2 ? i ^ swap_ : i); }
  __device__ int64_t channel(int i) const { return first_ + place(i); }
  __device__ bool holds(int i, int n) const {
    return place(i) < width_ && lane_ * kStates + n < launch_.args.in.A.extent(1);
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
        A_[i][n] = holds(i, n) ? args.in.A(c, state) * gpu::kLog2E : 0.0f;
        h_[i][n] = 0.0f;
        if (!kAll || !holds(i, n)) continue;
        h_[i][n] =
            launch_.segments > 1 ? launch_.ends(b_, segment_, state, c) : args.h(b_, c, state);
      }
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
      if (!kAll && lane_ == 0 && place(i) < width_) {
        launch_.totals(b_, segment_, channel(i)) = total_[i];
      }
    }
  }

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

  __device__ void read_states(const Slot& slot, int which, int t, float (&to)[kStates]) const {
    const float* from = &slot.inputs[which][t][lane_ * kStates];
    if constexpr (kStates == 2) {
      const float2 two = *reinterpret_cast<const float2*>(from);
      to[0] = two.x, to[1] = two.y;
    } else {
      gpu::read_fours(from, to);
    }
  }

  int lane_, mine_, swap_;  // lane in the channel; first channel held, and which comes first
  float A_[kChannels][kStates], h_[kChannels][kStates], total_[kChannels];
};

}  // namespace selective_cuda
}  // namespace longwave::ops
