// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_tiles_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// One block's channels and segment of time.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class Scan : private Tiles<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = Tiles<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kAll, Base::kSteps, Base::kWarpWidth;

  __device__ Scan(const SelectiveScanLaunch<T>& launch, Shared& shared) : Base(launch, shared) {
    lane_ = threadIdx.x % kLanes;
    mine_ = threadIdx.x / kLanes * kChannels;
    swap_ = kChannels == 2 && lane_ >= kLanes / 2 ? 1 : 0;
  }

  __device__ void run() {
    begin();
    begin_loads();
    if (kAll) begin_outputs();
    if (begin_ < end_) load(begin_, 0);
    int stage = 0;
    for (int64_t t = begin_; t < end_; t += kSteps, stage ^= 1) {
      gpu::finish_copies();
      __syncthreads();
      if (t + kSteps < end_) load(t + kSteps, stage ^ 1);
      const bool starts = prepare(t, stage);
      if (kAll) keep(t);
      starts ? march<true>() : march<false>();
      if (!kAll) continue;
      __syncthreads();
      finish(t, stage);
    }
    end();
  }

 private:
  using Base::b_, Base::begin_, Base::end_, Base::first_, Base::segment_, Base::width_;
  using Base::begin_loads, Base::column, Base::first_row, Base::load, Base::prepare;
  using Base::kBatch, Base::kPasses, Base::kRowsAtOnce;
  using Base::launch_, Base::shared_, Base::rows_from;

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

  __device__ void read_states(int which, int t, float (&to)[kStates]) const {
    const float* from = &shared_.inputs[which][t][lane_ * kStates];
    static_assert(kStates % 4 == 0);
#pragma unroll
    for (int n = 0; n < kStates; n += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + n);
      to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
    }
  }

  // Lanes of a channel that are left after the first halving, steps whose outputs they add up
  // together, and how many of them end with the same.
  static constexpr int kRest = kLanes / kChannels;
  static constexpr int kGroup = kRest < 4 ? kRest : 4;
  static constexpr int kShare = kRest / kGroup;

  // The recurrence over a tile, states in registers.
  template <bool kStarts>
  __device__ void march() {
    constexpr int kUnrolled = kStates * kChannels <= 4 ? 16 : 8;
    constexpr int kGroups = (kSteps < kUnrolled ? kSteps : kUnrolled) / kGroup;
#pragma unroll 1
    for (int first = 0; first < kSteps; first += kGroups * kGroup) {
      float y[kGroups][kChannels][kGroup];
#pragma unroll
      for (int j = 0; j < kGroups * kGroup; ++j) {
        step<kStarts>(first + j, y[j / kGroup], j % kGroup);
      }
      if constexpr (kAll) {
#pragma unroll
        for (int j = 0; j < kGroups; ++j) add_outputs(y[j]);
        __syncwarp();  // the outputs take the place of what all lanes have read
#pragma unroll
        for (int j = 0; j < kGroups; ++j) {
          const int t = first + j * kGroup + lane_ % kRest / kShare;
          float* const to = outputs(t, mine_);
          if (kShare == 1 || lane_ % kShare == 0) to[place(0) % kWarpWidth] = y[j][0][0];
        }
      }
    }
  }

  // Adds up over the lanes of a channel.
  __device__ void add_outputs(float (&y)[kChannels][kGroup]) const {
    if constexpr (kChannels == 2) {
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        y[0][k] += __shfl_xor_sync(0xffffffffu, y[1][k], kLanes / 2);
      }
    }
    gpu::add_lanes<kGroup, kRest / 2, 1>(y[0]);
  }

  // The outputs of a step of the warp that holds channel c, in the place of half of its step sizes.
  // Of neighbouring steps, and of neighbouring warps, they lie in different banks.
  __device__ float* outputs(int t, int c) const {
    const int warp = c / kWarpWidth;
    return &shared_.steps[t][warp * kWarpWidth].x + (t + warp) % 2 * kWarpWidth;
  }
  __device__ float2 two_outputs(int t, int c) const {
    if constexpr (kWarpWidth == 1) return make_float2(*outputs(t, c), *outputs(t, c + 1));
    return *reinterpret_cast<const float2*>(outputs(t, c) + c % kWarpWidth);
  }

  template <bool kStarts>
  __device__ void step(int t, float (&y)[kChannels][kGroup], int j) {
    float B[kStates], C[kStates];
    read_states(0, t, B);
    if (kAll) read_states(1, t, C);
    const bool start = kStarts && shared_.starts[t] != 0;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      const float2 s = shared_.steps[t][place(i)];
      if (!kAll) total_[i] = start ? INFINITY : total_[i] + s.x;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const bool anew = kStarts && start;  // what was before must not matter, even infinity
        const float before = anew ? 0.0f : h_[i][n];
        const float factor = anew ? 0.0f : gpu::exp2_fast(s.x * A_[i][n]);
        h_[i][n] = fmaf(factor, before, s.y * B[n]);
        if (kAll) sum = n == 0 ? C[n] * h_[i][n] : fmaf(C[n], h_[i][n], sum);
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
        const float2 u = gpu::pair_of(shared_.raw[stage][0][row] + c);
        out[i] = make_float2(fmaf(skip.x, u.x, y.x), fmaf(skip.y, u.y, y.y));
      }
      if (gated) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          const int row = min(first_row() + (first + i) * kRowsAtOnce, kSteps - 1);
          const float2 z = gpu::pair_of(shared_.raw[stage][2][row] + c);
          out[i].x *= gpu::silu(z.x), out[i].y *= gpu::silu(z.y);
        }
      }
      const int left = rows - first_row() - first * kRowsAtOnce;
      T* place = y_ + first * kRowsAtOnce * stride;
      if (paired_y_) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i, place += kRowsAtOnce * stride) {
          gpu::Pair<T> pair;
          gpu::narrow(out[i].x, pair.first);
          gpu::narrow(out[i].y, pair.second);
          if (i * kRowsAtOnce < left) *reinterpret_cast<gpu::Pair<T>*>(place) = pair;
        }
      } else {
#pragma unroll
        for (int i = 0; i < kBatch; ++i, place += kRowsAtOnce * stride) {
          if (i * kRowsAtOnce >= left) break;
          gpu::narrow(out[i].x, place[0]);
          if (c + 1 < width_) gpu::narrow(out[i].y, place[args.y.stride(2)]);
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
                reinterpret_cast<uintptr_t>(y_) % sizeof(gpu::Pair<T>) == 0;
  }

  int lane_, mine_, swap_;  // lane in the channel; first channel held, and which comes first
  T* y_;                    // this thread's part of the next outputs
  bool paired_y_;
  float A_[kChannels][kStates], h_[kChannels][kStates], total_[kChannels];
};

template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
__global__ void __launch_bounds__(kSelectiveThreads, Layout<T, kStates, kLanes, kChannels>::kBlocks)
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
  const float A = args.in.A(c, n) * gpu::kLog2E;
  float h = args.h(b, c, n);
  for (int64_t segment = 0; segment < launch.segments; ++segment) {
    float& end = launch.ends(b, segment, n, c);
    if (segment + 1 == launch.segments) {
      end = h;
      break;
    }
    const float added = end, total = launch.totals(b, segment, c);
    end = h;
    h = isinf(total) ? added : fmaf(gpu::exp2_fast(total * A), h, added);
  }
}

}  // namespace selective_cuda
}  // namespace longwave::ops
