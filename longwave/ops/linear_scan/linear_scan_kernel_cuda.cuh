// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <complex>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/linear_scan/linear_scan_cuda.h"

namespace longwave::ops::linear_cuda {

inline constexpr int kLanes = 32;  // channels of a block
inline constexpr int kWarps = 8;
inline constexpr int kSteps = 8;  // of a warp at once
inline constexpr int kTile = kWarps * kSteps;
inline constexpr int kThreads = kLanes * kWarps;

// Numbers in registers: float, or float2 for complex ones.
template <typename T>
struct WideOf {
  using Type = float;
  using Sum = double;
};
template <>
struct WideOf<std::complex<float>> {
  using Type = float2;
  using Sum = double2;
};
template <typename T>
using Wide = typename WideOf<T>::Type;
template <typename T>
using Sum = typename WideOf<T>::Sum;

__device__ inline float read(const float* x) { return *x; }
__device__ inline float read(const __half* x) { return gpu::widen(*x); }
__device__ inline float read(const __nv_bfloat16* x) { return gpu::widen(*x); }
__device__ inline float2 read(const std::complex<float>* x) {
  return *reinterpret_cast<const float2*>(x);
}
__device__ inline void write(float value, float* x) { *x = value; }
__device__ inline void write(float value, __half* x) { gpu::narrow(value, *x); }
__device__ inline void write(float value, __nv_bfloat16* x) { gpu::narrow(value, *x); }
__device__ inline void write(float2 value, std::complex<float>* x) {
  *reinterpret_cast<float2*>(x) = value;
}

__device__ inline float conjugate(float x) { return x; }
__device__ inline float2 conjugate(float2 x) { return make_float2(x.x, -x.y); }
// x y + z
__device__ inline float times_plus(float x, float y, float z) { return fmaf(x, y, z); }
__device__ inline float2 times_plus(float2 x, float2 y, float2 z) {
  return make_float2(fmaf(x.x, y.x, fmaf(-x.y, y.y, z.x)), fmaf(x.x, y.y, fmaf(x.y, y.x, z.y)));
}
__device__ inline void add(double& sum, float x) { sum += x; }
__device__ inline void add(double2& sum, float2 x) {
  sum.x += x.x;
  sum.y += x.y;
}
__device__ inline void add(double& sum, double x) { sum += x; }
__device__ inline void add(double2& sum, double2 x) {
  sum.x += x.x;
  sum.y += x.y;
}
__device__ inline float rounded(double x) { return static_cast<float>(x); }
__device__ inline float2 rounded(double2 x) { return make_float2(float(x.x), float(x.y)); }
template <typename W>
__device__ W one() {
  if constexpr (sizeof(W) == sizeof(float)) {
    return 1.0f;
  } else {
    return make_float2(1.0f, 0.0f);
  }
}

template <typename T, int Rank, typename... Index>
__device__ T* place(const View<T, Rank>& view, Index... index) {
  return &view(index...);
}

// Forwards in time, or the adjoint: backwards, with the conjugate factor of the step after.
enum class Direction { kForward, kAdjoint };
// A segment from zero for what it does to any state, or from the state before it.
enum class Pass { kEnds, kStates };
// Where the gradient of a goes: nowhere, to each step, or to a sum over steps.
enum class FactorSum { kNone, kSteps, kTime };

// What segments do to a state, h' = factor h + added: (batch, segments, channels). Joined, `added`
// is the state before the segment.
template <typename T>
struct Borders {
  Wide<T>*factor, *added;
};

template <typename T>
struct ScanLaunch {
  int64_t batch, time, channels, segments, steps;  // of a segment
  View<const T, 3> a;                              // in the order of time, repeated where shared
  View<const T, 3> b;                              // in the order of the scan, as h
  View<T, 3> h;
  View<const LinearScanState<T>, 2> first;  // the state before all steps, or absent for zero
  View<const LinearScanState<T>, 2> added;  // to the first step's input, or absent for zero
  View<LinearScanState<T>, 2> last;
  Borders<T> borders;
  // Of the adjoint alone:
  FactorSum factor_sum;
  View<const T, 3> states;                        // h in the order of time
  View<const LinearScanState<T>, 2> first_state;  // or absent for zero
  View<T, 3> da;                                  // in the order of time
  Sum<T>* sums;                                   // (batch, segments, channels)
};

// The adjoint has no state before its first step, and so no use for that step's factor.
template <typename T, Direction kDirection>
__device__ Wide<T> factor_at(const ScanLaunch<T>& launch, int64_t row, int64_t t, int64_t channel) {
  if constexpr (kDirection == Direction::kForward) {
    return read(place(launch.a, row, t, channel));
  } else {
    return t == 0 ? one<Wide<T>>()
                  : conjugate(read(place(launch.a, row, launch.time - t, channel)));
  }
}

// The state that step t of the adjoint started from.
template <typename T>
__device__ Wide<T> state_before(const ScanLaunch<T>& launch, int64_t row, int64_t t,
                                int64_t channel) {
  if (t + 1 < launch.time) return read(place(launch.states, row, launch.time - 2 - t, channel));
  return launch.first_state.absent() ? Wide<T>{} : read(place(launch.first_state, row, channel));
}

// Writes what the last step leaves.
template <typename T, Direction kDirection>
__device__ void finish(const ScanLaunch<T>& launch, int64_t row, int64_t channel, Wide<T> h) {
  if (kDirection == Direction::kAdjoint) {
    h = times_plus(conjugate(read(place(launch.a, row, int64_t{0}, channel))), h, Wide<T>{});
  }
  write(h, place(launch.last, row, channel));
}

// Whether all steps have one factor, read once, or each its own.
enum class Factors { kShared, kOwn };

template <typename T, Factors kFactors>
struct Steps {
  Wide<T> factor[kFactors == Factors::kOwn ? kSteps : 1], added[kSteps];

  __device__ Wide<T> factor_of(int i) const { return factor[kFactors == Factors::kOwn ? i : 0]; }
};

// Steps that are not there leave a state as it is; with a shared factor they add nothing.
template <typename T, Direction kDirection, Factors kFactors>
__device__ void load(const ScanLaunch<T>& launch, int64_t row, int64_t begin, int64_t end,
                     int64_t channel, Steps<T, kFactors>& steps) {
#pragma unroll
  for (int i = 0; i < kSteps; ++i) {
    const bool there = begin + i < end;
    if constexpr (kFactors == Factors::kOwn) {
      steps.factor[i] = one<Wide<T>>();
      if (there) steps.factor[i] = factor_at<T, kDirection>(launch, row, begin + i, channel);
    }
    steps.added[i] = there ? read(place(launch.b, row, begin + i, channel)) : Wide<T>{};
  }
  if (begin == 0 && end > 0 && !launch.added.absent()) {
    steps.added[0] =
        times_plus(one<Wide<T>>(), read(place(launch.added, row, channel)), steps.added[0]);
  }
}

// Blocks of a multiprocessor: where a thread holds most, fewer of them with more registers each.
template <typename T, Direction kDirection, Factors kFactors>
inline constexpr int kBlocks = sizeof(Wide<T>) > 4 && kDirection == Direction::kAdjoint&& kFactors
                                                          == Factors::kOwn
                                   ? 1
                                   : 2;

template <typename T, Direction kDirection, Pass kPass, Factors kFactors>
__global__ void __launch_bounds__(kThreads, (kBlocks<T, kDirection, kFactors>))
    scan_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  using W = Wide<T>;
  __shared__ W factors[2][kWarps][kLanes], added[2][kWarps][kLanes];
  __shared__ Sum<T> warp_sums[kWarps][kLanes];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int64_t tiles = (launch.channels + kLanes - 1) / kLanes;
  const int64_t channel = blockIdx.x % tiles * kLanes + lane, line = blockIdx.x / tiles;
  const int64_t row = line / launch.segments, segment = line % launch.segments;
  const int64_t begin = segment * launch.steps;
  const int64_t border = line * launch.channels + channel;
  const bool there = channel < launch.channels;
  const int64_t end = there ? min(begin + launch.steps, launch.time) : 0;

  W state = {}, product = one<W>();
  if (kPass == Pass::kStates && there) {
    if (launch.segments > 1) {
      state = launch.borders.added[border];
    } else if (!launch.first.absent()) {
      state = read(place(launch.first, row, channel));
    }
  }
  Sum<T> sum = {};
  Steps<T, kFactors> next;
  if constexpr (kFactors == Factors::kShared) {
    next.factor[0] = end > 0 ? read(place(launch.a, row, int64_t{0}, channel)) : one<W>();
    if (kDirection == Direction::kAdjoint) next.factor[0] = conjugate(next.factor[0]);
  }
  load<T, kDirection>(launch, row, begin + warp * kSteps, end, channel, next);
  int turn = 0;
  for (int64_t tile = begin; tile < min(begin + launch.steps, launch.time); tile += kTile) {
    const Steps<T, kFactors> steps = next;
    const int64_t t0 = tile + warp * kSteps;
    load<T, kDirection>(launch, row, t0 + kTile, end, channel, next);
    W whole = one<W>(), own = {};
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      whole = times_plus(whole, steps.factor_of(i), W{});
      own = times_plus(steps.factor_of(i), own, steps.added[i]);
    }
    factors[turn][warp][lane] = whole;
    added[turn][warp][lane] = own;
    // Read before the warps meet.
    W before[kSteps] = {};
    if (kDirection == Direction::kAdjoint && launch.factor_sum != FactorSum::kNone) {
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        if (t0 + i < end) before[i] = conjugate(state_before(launch, row, t0 + i, channel));
      }
    }
    __syncthreads();
    W h = {};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      if (w == warp) h = state;
      state = times_plus(factors[turn][w][lane], state, added[turn][w][lane]);
      if (kPass == Pass::kEnds) product = times_plus(factors[turn][w][lane], product, W{});
    }
    turn ^= 1;
    if constexpr (kPass == Pass::kStates) {
      W tile_sum = {};
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        h = times_plus(steps.factor_of(i), h, steps.added[i]);
        if (t0 + i >= end) continue;
        write(h, place(launch.h, row, t0 + i, channel));
        if (t0 + i + 1 == launch.time) finish<T, kDirection>(launch, row, channel, h);
        if (kDirection == Direction::kForward) continue;
        if (launch.factor_sum == FactorSum::kTime) {
          tile_sum = times_plus(before[i], h, tile_sum);
        } else if (launch.factor_sum == FactorSum::kSteps) {
          write(times_plus(before[i], h, W{}),
                place(launch.da, row, launch.time - 1 - t0 - i, channel));
        }
      }
      add(sum, tile_sum);
    }
  }
  if constexpr (kPass == Pass::kEnds) {
    if (!there || warp > 0) return;
    launch.borders.factor[border] = product;
    launch.borders.added[border] = state;
  } else if constexpr (kDirection == Direction::kAdjoint) {
    warp_sums[warp][lane] = sum;
    __syncthreads();
    if (!there || warp > 0 || launch.factor_sum != FactorSum::kTime) return;
    for (int w = 1; w < kWarps; ++w) add(sum, warp_sums[w][lane]);
    launch.sums[border] = sum;
  }
}

// Without steps the state stays what it was.
template <typename T>
__global__ void no_steps_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.batch * launch.channels) return;
  const int64_t row = index / launch.channels, channel = index % launch.channels;
  const auto& from = launch.first.absent() ? launch.added : launch.first;
  write(from.absent() ? Wide<T>{} : read(place(from, row, channel)),
        place(launch.last, row, channel));
}

// One step, a thread for each channel of a sequence.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    step_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  const unsigned tiles = static_cast<unsigned>((launch.channels + kThreads - 1) / kThreads);
  const int64_t row = blockIdx.x / tiles;
  const int64_t channel = int64_t{blockIdx.x % tiles} * kThreads + threadIdx.x;
  if (channel >= launch.channels) return;
  const Wide<T> factor = read(place(launch.a, row, int64_t{0}, channel));
  const Wide<T> added = read(place(launch.b, row, int64_t{0}, channel));
  Wide<T> state = {};
  if (!launch.first.absent()) state = read(place(launch.first, row, channel));
  state = times_plus(factor, state, added);
  write(state, place(launch.h, row, int64_t{0}, channel));
  write(state, place(launch.last, row, channel));
}

// Turns what segments do into the states before them, a thread for each channel of a sequence.
template <typename T>
__global__ void join_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.batch * launch.channels) return;
  const int64_t row = index / launch.channels, channel = index % launch.channels;
  Wide<T> state = {};
  if (!launch.first.absent()) state = read(place(launch.first, row, channel));
  for (int64_t s = 0; s < launch.segments; ++s) {
    const int64_t border = (row * launch.segments + s) * launch.channels + channel;
    const Wide<T> added = launch.borders.added[border];
    launch.borders.added[border] = state;
    state = times_plus(launch.borders.factor[border], state, added);
  }
}

// da where all steps share a: the sum over segments, and over rows where these share it, too.
template <typename T>
__global__ void sum_segments_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.da.extent(0) * launch.channels) return;
  const int64_t row = index / launch.channels, channel = index % launch.channels;
  const int64_t rows = launch.da.extent(0) == 1 ? launch.batch : 1;
  Sum<T> sum = {};
  for (int64_t line = row * launch.segments; line < (row + rows) * launch.segments; ++line) {
    add(sum, launch.sums[line * launch.channels + channel]);
  }
  write(rounded(sum), place(launch.da, row, int64_t{0}, channel));
}

// da where rows share a, but not steps.
template <typename T>
__global__ void sum_rows_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.da.extent(1) * launch.channels) return;
  const int64_t t = index / launch.channels, channel = index % launch.channels;
  const int64_t turned = launch.time - 1 - t;
  Sum<T> sum = {};
  for (int64_t row = 0; row < launch.batch; ++row) {
    const Wide<T> before = conjugate(state_before(launch, row, turned, channel));
    add(sum, times_plus(before, read(place(launch.h, row, turned, channel)), Wide<T>{}));
  }
  write(rounded(sum), place(launch.da, int64_t{0}, t, channel));
}

}  // namespace longwave::ops::linear_cuda
