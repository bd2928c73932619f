// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_loads_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// What leaves a block that computes gradients: those of the signals, a few steps at a time, and
/// sums over its channels and over its steps.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradOutputs : public GradLoads<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradLoads<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kPadded, Base::kSteps, Base::kSub, Base::kWidth;
  static constexpr int kShare = kLanes / kSub;                       // lanes that share a step
  static constexpr int kEach = kShare >= kChannels ? 1 : kChannels;  // channels a lane finishes
  static_assert(kLanes >= kSub && kStates == 4);

  using Base::Base;

 protected:
  using Base::lane_, Base::launch_, Base::mine_, Base::place, Base::row, Base::shared_;
  using Base::width_;

  // About the first tile.
  __device__ void begin_outputs(int64_t t) {
    const auto& args = launch_.args;
    if (threadIdx.x == 0) {
      const auto result = [&](int which, const View<T, 3>& x) {
        T* const to = x.absent() ? nullptr : &x(place().b, t, place().first);
        shared_.results[which] = {reinterpret_cast<std::byte*>(to),
                                  x.stride(1) * static_cast<int64_t>(sizeof(T))};
      };
      result(0, args.du), result(1, args.ddt), result(2, args.dz);
    }
    sum_D_[0] = sum_D_[1] = sum_bias_[0] = sum_bias_[1] = 0.0f;
  }
  // The next results are of the tile before the last.
  __device__ void next_outputs() const {
    if (threadIdx.x >= 3) return;
    auto& result = shared_.results[threadIdx.x];
    result.to -= this->stride() * result.stride;
  }

  // Two channels' numbers of a step.
  __device__ float2 plane_pair(int plane, int t) const {
    return *reinterpret_cast<const float2*>(&shared_.planes[plane][t][mine_]);
  }

  // Through gate, skip and step size: this lane's step of those from `begin` on, both channels or
  // one of them if there are lanes enough. Until the results leave there are no branches, so that
  // latencies overlap: what an absent gate or step size makes of itself is not used.
  __device__ void finish(int begin, int rows, const float (&y)[kChannels][kSub],
                         const float (&by_B)[kChannels][kSub],
                         const float (&by_A)[kChannels][kSub]) {
    const auto& args = launch_.args;
    const int j = lane_ / kShare, part = lane_ % kShare, t = begin + j;
    const bool here = part < kChannels / kEach && j < rows && mine_ + part < width_;
    const bool soft = args.in.step_size == StepSize::kSoftplus, gated = !args.in.z.absent();
    const auto pick = [part](float2 two, int k) {
      return (kEach == 2 ? k == 0 : part == 0) ? two.x : two.y;
    };
    const float2 z = gpu::pair_of(&shared_.signals[1][t][mine_]);
    const float2 s = plane_pair(0, t);
    const float2 u = gpu::pair_of(&shared_.signals[0][t][mine_]);
    const float2 dy = gpu::pair_of(&shared_.signals[2][t][mine_]);
    const float2 skip = *reinterpret_cast<const float2*>(&shared_.skip[mine_]);
    std::byte* const pairs[3] = {pair_at(0, t), pair_at(1, t), pair_at(2, t)};
    float du[kEach], ddt[kEach], dz[kEach];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const float gate = pick(z, k), sigmoid = gpu::sigmoid(gate);
      const float slope = gpu::softplus_slope(pick(s, k)), input = pick(u, k);
      const float through_B = pick(make_float2(by_B[0][0], by_B[1][0]), k);
      const float through_A = pick(make_float2(by_A[0][0], by_A[1][0]), k) * gpu::kLn2;
      const float out = fmaf(pick(skip, k), input, pick(make_float2(y[0][0], y[1][0]), k));
      const float dyg = pick(dy, k) * (gated ? gate * sigmoid : 1.0f);
      dz[k] = pick(dy, k) * out * gpu::silu_slope(gate, sigmoid);
      du[k] = fmaf(pick(s, k), through_B, pick(skip, k) * dyg);
      ddt[k] = fmaf(input, through_B, through_A) * (soft ? slope : 1.0f);
      if (here && mine_ + part + k < width_) {
        sum_D_[k] = fmaf(dyg, input, sum_D_[k]);
        sum_bias_[k] += ddt[k];
      }
    }
    if (!here) return;
    if (kEach == 2 && launch_.paired) {
      store_pair(pairs[0], du);
      store_pair(pairs[1], ddt);
      if (gated) store_pair(pairs[2], dz);
    } else {
      store(shared_.results[0], t, args.du.stride(2), du);
      store(shared_.results[1], t, args.ddt.stride(2), ddt);
      if (gated) store(shared_.results[2], t, args.dz.stride(2), dz);
    }
  }

  // Leaves a lane's numbers of a step for the sum over the channels of its warp.
  __device__ void stage(int j, const float (&numbers)[kStates]) const {
    const int pair = mine_ / kChannels % (32 / kLanes);
    *reinterpret_cast<float4*>(&staged(j % kAtOnce)[pair * kPadded + lane_ * kStates]) =
        make_float4(numbers[0], numbers[1], numbers[2], numbers[3]);
  }

  static constexpr int kAtOnce = 2;  // steps whose numbers are left before they are added up
  using ChannelSums = float[kAtOnce * kPadded / 32];

  // Adds up what was left of kAtOnce steps.
  __device__ void add_channels(ChannelSums& sums) const {
    constexpr int kSummed = 32 / kLanes;
    __syncwarp();
#pragma unroll
    for (int turn = 0; turn < kAtOnce * kPadded / 32; ++turn) {
      const int place = turn * 32 + threadIdx.x % 32;
      const float* const from = staged(place / kPadded) + place % kPadded;
      float parts[kSummed];
#pragma unroll
      for (int i = 0; i < kSummed; ++i) parts[i] = from[i * kPadded];
#pragma unroll
      for (int left = kSummed / 2; left > 0; left /= 2) {
#pragma unroll
        for (int i = 0; i < left; ++i) parts[i] += parts[i + left];
      }
      sums[turn] = parts[0];
    }
    __syncwarp();
  }
  // Puts these sums away, those for dB (0) or dC (1) at the steps from t on.
  __device__ void keep_sums(int t, int which, const ChannelSums& sums) const {
#pragma unroll
    for (int turn = 0; turn < kAtOnce * kPadded / 32; ++turn) {
      const int place = turn * 32 + threadIdx.x % 32;
      sums_of(threadIdx.x / 32, which, t + place / kPadded)[place % kPadded] = sums[turn];
    }
  }

  // finish(), and what of its sums does not wait for the end of the tile at `tile` leaves.
  __device__ void finish_and_flush(int64_t tile, int t, int rows, const float (&y)[kChannels][kSub],
                                   const float (&by_B)[kChannels][kSub],
                                   const float (&by_A)[kChannels][kSub]) {
    finish(t, rows, y, by_B, by_A);
    if (!Shared::kWaits) {
      __syncthreads();
      flush(tile, t, rows);
    }
  }

  // Adds up over the warps: the sums of the kFlushed steps from t of the tile at `tile` on, behind
  // a barrier.
  __device__ void flush(int64_t tile, int t, int rows) const {
    const View<float, 6>& inputs = launch_.inputs;
    const int step = threadIdx.x / kFours % kFlushed, n = threadIdx.x % kFours * 4;
    const int first = threadIdx.x / (kFours * kFlushed);
    if (step >= rows || n >= static_cast<int>(inputs.extent(5))) return;
    float* const to =
        &inputs(place().part, place().b, tile + t + step, place().group, first, int64_t{n});
#pragma unroll
    for (int turn = 0; turn < kFlushTurns; ++turn) {
      const int which = first + turn;
      float4 sum = {};
#pragma unroll
      for (int warp = 0; warp < Shared::kWarps; ++warp) {
        const float4 four = *reinterpret_cast<const float4*>(&sums_of(warp, which, t + step)[n]);
        sum.x += four.x, sum.y += four.y, sum.z += four.z, sum.w += four.w;
      }
      *reinterpret_cast<float4*>(to + turn * inputs.stride(4)) = sum;
    }
  }

  // Sums over the lanes of a channel, which have seen to different steps.
  __device__ void end_signals() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int mask = kLanes / 2; mask >= kChannels / kEach; mask /= 2) {
        sum_D_[i] += __shfl_xor_sync(0xffffffffu, sum_D_[i], 2 * mask);
        sum_bias_[i] += __shfl_xor_sync(0xffffffffu, sum_bias_[i], 2 * mask);
      }
      const int c = mine_ + lane_ + i;
      if (lane_ >= kChannels / kEach || c >= width_) continue;
      launch_.signals(row(), 0, place().first + c) = sum_D_[i];
      launch_.signals(row(), 1, place().first + c) = sum_bias_[i];
    }
  }

 private:
  // Steps whose sums leave together; a thread writes those of four states, for dB and dC in turn or
  // for one of them.
  static constexpr int kFlushed = Shared::kWaits ? kSteps : kSub, kFours = kPadded / 4;
  static constexpr int kFlushTurns = 2 * kFlushed * kFours / kSelectiveThreads;
  static_assert(kFlushTurns == 1 || kFlushTurns == 2);

  __device__ float* staged(int step) const {
    return &shared_.staged[threadIdx.x / 32][step * Shared::kStaged];
  }
  // A warp's sums over its channels at a step, for dB (0) or dC (1).
  __device__ float* sums_of(int warp, int which, int t) const {
    if constexpr (Shared::kWaits) {
      return &shared_.planes[1 + which][t][warp * Shared::kWarpWidth];
    } else {
      return &shared_.sums[t / kSub % 2][warp][(which * kSub + t % kSub) * kPadded];
    }
  }

  // Where the pair of a step goes, if the results are paired. Of the stride 32 bits do then.
  __device__ std::byte* pair_at(int which, int t) const {
    const volatile auto& result = shared_.results[which];
    return gpu::rows_behind(result.to, t, static_cast<int>(result.stride)) + mine_ * sizeof(T);
  }
  __device__ static void store_pair(std::byte* to, const float (&x)[kEach]) {
    __builtin_assume(__isGlobal(to));
    gpu::Pair<T> pair;
    gpu::narrow(x[0], pair.first);
    gpu::narrow(x[kEach - 1], pair.second);
    *reinterpret_cast<gpu::Pair<T>*>(to) = pair;
  }
  __device__ void store(const typename Shared::Result& result, int t, int64_t stride,
                        const float (&x)[kEach]) const {
    T* const row = reinterpret_cast<T*>(result.to + t * result.stride);
    __builtin_assume(__isGlobal(row));
    const int part = lane_ % kShare;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      if (mine_ + part + k < width_) gpu::narrow(x[k], row[(mine_ + part + k) * stride]);
    }
  }

  float sum_D_[2], sum_bias_[2];
};

}  // namespace longwave::ops::selective_cuda
