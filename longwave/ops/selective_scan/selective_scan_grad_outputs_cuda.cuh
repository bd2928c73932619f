// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_tiles_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// What leaves a block that computes gradients: those of the signals, a few steps at a time, and
/// sums over its channels and over its steps.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradOutputs : public GradTiles<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradTiles<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kPadded, Base::kSteps, Base::kSub, Base::kSubs, Base::kWidth;
  static constexpr int kShare = kLanes / kSub;                       // lanes that share a step
  static constexpr int kEach = kShare >= kChannels ? 1 : kChannels;  // channels a lane finishes
  static_assert(kLanes >= kSub && kStates == 4);

  using Base::Base;

 protected:
  using Base::b_, Base::first_, Base::group_, Base::lane_, Base::launch_, Base::mine_;
  using Base::row, Base::shared_, Base::tile_, Base::width_;

  // Where this thread's results of the last steps of a tile go.
  __device__ void begin_outputs(int64_t t) {
    const auto& args = launch_.args;
    const int c = min(mine_, width_ - 1), part = lane_ % kShare;
    const auto place = [&](const View<T, 3>& x) -> T* {
      if (x.absent()) return nullptr;
      const int64_t step = kSteps - kSub + lane_ / kShare;
      return &x(b_, t, first_ + c) + step * x.stride(1) + (kEach == 1 ? part * x.stride(2) : 0);
    };
    du_ = place(args.du), ddt_ = place(args.ddt), dz_ = place(args.dz);
    const int from = threadIdx.x % kPlaces;
    const View<float, 6>& sums = launch_.inputs;
    sums_ = &sums(tile_ % launch_.group_tiles, b_, t, group_, from / kPadded, int64_t{0}) +
            from % kPadded + (kSteps - kSub + threadIdx.x / kPlaces) * sums.stride(2);
    sum_D_[0] = sum_D_[1] = sum_bias_[0] = sum_bias_[1] = 0.0f;
  }

  // Two channels' numbers of a step.
  __device__ float2 plane_pair(int plane, int t) const {
    return *reinterpret_cast<const float2*>(&shared_.planes[plane][t][mine_]);
  }

  // Through gate, skip and step size: this lane's step of those from `begin` on, both channels or
  // one of them if there are lanes enough.
  __device__ void finish(int begin, int rows, const float (&y)[kChannels][kSub],
                         const float (&by_B)[kChannels][kSub],
                         const float (&by_A)[kChannels][kSub]) {
    const auto& args = launch_.args;
    const int j = lane_ / kShare, t = begin + j, part = lane_ % kShare;
    if (part < kChannels / kEach && j < rows && mine_ + part < width_) {
      const bool soft = args.in.step_size == StepSize::kSoftplus, gated = !args.in.z.absent();
      const auto pick = [part](float2 two, int k) {
        return (kEach == 2 ? k == 0 : part == 0) ? two.x : two.y;
      };
      const float2 u = gpu::pair_of(&shared_.u[t][mine_]), z = gpu::pair_of(&shared_.z[t][mine_]);
      const float2 dy = gpu::pair_of(&shared_.dy[t][mine_]);
      const float2 s = plane_pair(0, t), dyg = plane_pair(1, t);
      float du[kEach], ddt[kEach], dz[kEach];
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        const int c = mine_ + part + k;
        const float skip = shared_.skip[c];
        const float through_B = pick(make_float2(by_B[0][0], by_B[1][0]), k);
        const float through_A = pick(make_float2(by_A[0][0], by_A[1][0]), k);
        du[k] = fmaf(pick(s, k), through_B, skip * pick(dyg, k));
        ddt[k] = fmaf(pick(u, k), through_B, through_A * gpu::kLn2);
        if (soft) ddt[k] *= gpu::softplus_slope(pick(s, k));
        dz[k] = 0.0f;
        if (gated) {
          const float gate = pick(z, k), slope = gpu::silu_slope(gate, gpu::sigmoid(gate));
          const float out = fmaf(skip, pick(u, k), pick(make_float2(y[0][0], y[1][0]), k));
          dz[k] = pick(dy, k) * out * slope;
        }
        if (c < width_) {
          sum_D_[k] = fmaf(pick(dyg, k), pick(u, k), sum_D_[k]);
          sum_bias_[k] += ddt[k];
        }
      }
      store(du_, args.du.stride(2), launch_.paired_du, du);
      store(ddt_, args.ddt.stride(2), launch_.paired_ddt, ddt);
      if (gated) store(dz_, args.dz.stride(2), launch_.paired_dz, dz);
    }
    du_ -= kSub * args.du.stride(1);
    ddt_ -= kSub * args.ddt.stride(1);
    dz_ -= kSub * args.dz.stride(1);
  }

  // Leaves a lane's numbers of a step for the sum over the channels of its warp.
  __device__ void stage(int j, const float (&numbers)[kStates]) const {
    *reinterpret_cast<float4*>(&staged(j % kAtOnce)[threadIdx.x % 32 * kStates]) =
        make_float4(numbers[0], numbers[1], numbers[2], numbers[3]);
  }

  // Where this lane leaves sums over its warp's channels.
  __device__ float* sums_of(int sub) const {
    return warp_sums(sub, threadIdx.x / 32) + threadIdx.x % 32;
  }

  // Adds up what was left of kAtOnce steps from j on, for dB (0) or dC (1).
  __device__ void add_channels(float* to, int j, int which) const {
    constexpr int kTurns = kAtOnce * kPadded / 32, kSummed = 32 / kLanes;
    __syncwarp();
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int place = turn * 32 + threadIdx.x % 32;
      const float* const from = staged(place / kPadded) + place % kPadded;
      float sums[kSummed];
#pragma unroll
      for (int i = 0; i < kSummed; ++i) sums[i] = from[i * kPadded];
#pragma unroll
      for (int left = kSummed / 2; left > 0; left /= 2) {
#pragma unroll
        for (int i = 0; i < left; ++i) sums[i] += sums[i + left];
      }
      to[(which * kSub + j) * kPadded + turn * 32] = sums[0];
    }
    __syncwarp();
  }
  static constexpr int kAtOnce = 2;

  // Adds up over the warps: the sums of a few steps, behind a barrier.
  __device__ void flush(int sub, int rows) {
    static_assert(kSelectiveThreads % kPlaces == 0);
    constexpr int kRows = kSelectiveThreads / kPlaces;
    const int64_t stride = launch_.inputs.stride(2);
    const int place = threadIdx.x % kPlaces, which = place / kPadded, n = place % kPadded;
    const bool there = n < static_cast<int>(launch_.args.in.A.extent(1));
#pragma unroll
    for (int k = 0; k < kSub / kRows; ++k) {
      const int j = threadIdx.x / kPlaces + k * kRows;
      float sum = 0.0f;
#pragma unroll
      for (int warp = 0; warp < Shared::kWarps; ++warp) {
        sum += warp_sums(sub, warp)[(which * kSub + j) * kPadded + n];
      }
      if (there && j < rows) sums_[k * kRows * stride] = sum;
    }
    sums_ -= kSub * stride;
  }

  // Sums over the lanes of a channel, which have seen to different steps.
  __device__ void end_signals() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int mask = kLanes / 2; mask >= kChannels / kEach; mask /= 2) {
        sum_D_[i] += __shfl_xor_sync(0xffffffffu, sum_D_[i], mask);
        sum_bias_[i] += __shfl_xor_sync(0xffffffffu, sum_bias_[i], mask);
      }
      const int c = mine_ + lane_ + i;
      if (lane_ >= kChannels / kEach || c >= width_) continue;
      launch_.signals(row(), 0, first_ + c) = sum_D_[i];
      launch_.signals(row(), 1, first_ + c) = sum_bias_[i];
    }
  }

 private:
  static constexpr int kPlaces = 2 * kPadded;  // sums over channels of a step

  __device__ float* staged(int step) const {
    return &shared_.staged[threadIdx.x / 32][step * Shared::kStaged];
  }
  __device__ float* warp_sums(int sub, int warp) const {
    if constexpr (!Shared::kWaits) return shared_.sums[sub % 2][warp];
    return sub + 1 == kSubs ? shared_.last_sums[warp] : &shared_.before[sub][0][warp * 32].x;
  }

  __device__ void store(T* place, int64_t stride, bool paired, const float (&x)[kEach]) const {
    if constexpr (kEach == 2) {
      gpu::Pair<T> pair;
      gpu::narrow(x[0], pair.first);
      gpu::narrow(x[1], pair.second);
      if (paired) {
        *reinterpret_cast<gpu::Pair<T>*>(place) = pair;
        return;
      }
      if (mine_ + 1 < width_) place[stride] = pair.second;
    }
    gpu::narrow(x[0], *place);
  }

  T *du_, *ddt_, *dz_;  // this thread's part of the next results
  float* sums_;         // and of the next sums over channels
  float sum_D_[2], sum_bias_[2];
};

}  // namespace longwave::ops::selective_cuda
