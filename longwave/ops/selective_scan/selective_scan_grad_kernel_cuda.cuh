// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_tiles_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// One block's channels and segment of time, backwards. kEnds finds only what the adjoint before
/// the segment takes from within it.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Adjoint : private GradTiles<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradTiles<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kAll, Base::kPadded, Base::kSteps, Base::kSub, Base::kSubs, Base::kWidth;
  static constexpr int kShare = kLanes / kSub;                       // lanes that share a step
  static constexpr int kEach = kShare >= kChannels ? 1 : kChannels;  // channels a lane finishes
  static constexpr int kPlaces = 2 * kPadded;                        // sums over channels of a step
  static_assert(kLanes >= kSub);

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
      if (!kAll) __syncthreads();  // the other march ends with a barrier
      load(t);
    }
    end();
  }

 private:
  using Base::b_, Base::begin_, Base::end_, Base::first_, Base::group_, Base::lane_;
  using Base::begin_loads, Base::channel, Base::holds, Base::load;
  using Base::launch_, Base::mine_, Base::segment_, Base::shared_, Base::tile_, Base::width_;
  using Base::prepare, Base::row, Base::rows_from;

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
      total_[i] = sum_D_[i] = sum_bias_[i] = 0.0f;
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
    const float2 two = plane_pair(plane, t);
    to[0] = two.x, to[1] = two.y;
  }
  __device__ float2 plane_pair(int plane, int t) const {
    return *reinterpret_cast<const float2*>(&shared_.planes[plane][t][mine_]);
  }
  __device__ float2 raw_pair(int which, int t) const {
    return gpu::pair_of(&shared_.raw[which][t][mine_]);
  }
  __device__ void read_steps(int t, float (&s)[kChannels], float (&su)[kChannels]) const {
    read_pair(0, t, s);
    const float2 u = raw_pair(0, t);
    su[0] = s[0] * u.x, su[1] = s[1] * u.y;
  }

  using Held = float[kChannels][kStates];

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

  // The states before each few steps of the tile but the first, parked beside that one.
  template <bool kStarts>
  __device__ void march_forward() const {
    Held h;
    fetch(0, h);
#pragma unroll 1
    for (int sub = 0; sub + 1 < kSubs; ++sub) {
#pragma unroll
      for (int j = 0; j < kSub; ++j) {
        const int t = sub * kSub + j;
        float B[kStates], s[kChannels], su[kChannels];
        read_states(0, t, B);
        read_steps(t, s, su);
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
      park(sub + 1, h);
    }
  }

  // What a few steps leave for the way back.
  struct Trace {
    Held before[kSub], decay[kSub];
    float s[kSub][kChannels], su[kSub][kChannels];
    float y[kChannels][kSub];  // C.h, this lane's share
  };

  template <bool kStarts>
  __device__ void step_forward(int t, int j, int parity, Held& h, Trace& trace) const {
    float B[kStates], C[kStates], dyg[kChannels], dC[kStates];
    read_states(0, t, B);
    read_states(1, t, C);
    read_steps(t, trace.s[j], trace.su[j]);
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
        y = fmaf(C[n], h[i][n], y);
        dC[n] = i == 0 ? dyg[i] * h[i][n] : fmaf(dyg[i], h[i][n], dC[n]);
      }
      trace.y[i][j] = y;
    }
    leave_sums(parity, j, 1, dC);
  }

  __device__ void step_back(int t, int j, int parity, const Trace& trace,
                            float (&through_B)[kChannels][kSub],
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
        by_B = fmaf(g, B[n], by_B);
        adjoint_[i][n] = trace.decay[j][i][n] * g;
        const float passed = adjoint_[i][n] * trace.before[j][i][n];
        by_A = fmaf(A_[i][n], passed, by_A);
        sum_A_[i][n] = fmaf(trace.s[j][i], passed, sum_A_[i][n]);
      }
      through_B[i][j] = by_B;
      through_A[i][j] = by_A;
    }
    leave_sums(parity, j, 0, dB);
  }

  template <bool kStarts>
  __device__ void march(int64_t first) {
    march_forward<kStarts>();
#pragma unroll 1
    for (int sub = kSubs - 1; sub >= 0; --sub) {
      const int parity = sub % 2;
      Trace trace;
      float through_B[kChannels][kSub], through_A[kChannels][kSub];
      {
        Held h;
        fetch(sub, h);
#pragma unroll
        for (int j = 0; j < kSub; ++j) step_forward<kStarts>(sub * kSub + j, j, parity, h, trace);
      }
      add_signal(trace.y);
#pragma unroll
      for (int j = kSub - 1; j >= 0; --j) {
        step_back(sub * kSub + j, j, parity, trace, through_B, through_A);
      }
      add_signal(through_B);
      add_signal(through_A);
      const int rows = rows_from(first) - sub * kSub;
      finish(sub * kSub, rows, trace.y, through_B, through_A);
      flush(parity, rows);
    }
  }

  // Adds up over the lanes of a channel; each keeps a step's sum, or shares it with neighbours.
  __device__ void add_signal(float (&x)[kChannels][kSub]) const {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) gpu::add_lanes<kSub, kLanes / 2, 1>(x[i]);
  }

  // Adds up over the channels of a warp.
  __device__ void leave_sums(int parity, int j, int which, float (&sums)[kStates]) const {
    constexpr int kLeft = kStates * kLanes > 32 ? kStates * kLanes / 32 : 1;
    constexpr int kShare = 32 / kLanes / (kStates / kLeft);  // lanes that are left with the same
    gpu::add_lanes<kStates, 16, kLanes>(sums);
    const int place = lane_ * kStates + gpu::place_of_sum<kStates, 16, kLanes>();
    if (threadIdx.x % 32 / kLanes % kShare != 0) return;
#pragma unroll
    for (int k = 0; k < kLeft; ++k) {
      shared_.sums[parity][j][threadIdx.x / 32][which * kPadded + place + k] = sums[k];
    }
  }

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
  }

  // Adds up over the warps.
  __device__ void flush(int parity, int rows) {
    static_assert(kSelectiveThreads % kPlaces == 0);
    constexpr int kAtOnce = kSelectiveThreads / kPlaces;
    const int64_t stride = launch_.inputs.stride(2);
    const int place = threadIdx.x % kPlaces;
    const bool there = place % kPadded < static_cast<int>(launch_.args.in.A.extent(1));
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kSub / kAtOnce; ++k) {
      const int j = threadIdx.x / kPlaces + k * kAtOnce;
      float sum = 0.0f;
#pragma unroll
      for (int warp = 0; warp < Shared::kWarps; ++warp) {
        sum += shared_.sums[parity][j][warp][place];
      }
      if (there && j < rows) sums_[k * kAtOnce * stride] = sum;
    }
    sums_ -= kSub * stride;
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
      const float2 u = raw_pair(0, t), raw = raw_pair(1, t), z = raw_pair(2, t);
      const float2 dy = raw_pair(3, t), s = plane_pair(0, t), dyg = plane_pair(1, t);
      float du[kEach], ddt[kEach], dz[kEach];
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        const int c = mine_ + part + k;
        const float skip = shared_.skip[c];
        const float through_B = pick(make_float2(by_B[0][0], by_B[1][0]), k);
        const float through_A = pick(make_float2(by_A[0][0], by_A[1][0]), k);
        du[k] = fmaf(pick(s, k), through_B, skip * pick(dyg, k));
        ddt[k] = fmaf(pick(u, k), through_B, through_A * gpu::kLn2);
        if (soft) ddt[k] *= gpu::sigmoid(pick(raw, k) + shared_.bias[c]);
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
  Held A_, adjoint_, sum_A_;
  float total_[kChannels], sum_D_[2], sum_bias_[2];
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
