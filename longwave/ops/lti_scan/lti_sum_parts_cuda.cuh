// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>

#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// What the blocks of a line's group leave of the sums over steps; with s = dh/da, and l the lag
// within a chunk,
//
//   sum_t dy[t] h[t] = sum_chunks h out(dy) + sum_l a^l lags[l]
//   sum_t dy[t] s[t] = sum_chunks (s out(dy) + h out_slope(dy)) + sum_l l a^(l-1) lags[l]
struct Parts {
  float2* states;  // (line groups, channels, 2, mode groups, kSumModes)
  float* pairs;    // (line groups, channels, chunk, chunk): sum of dy[t] u[t'] of a chunk, t' <= t
  float* lags;  // (line groups, channels, chunk): these by t - t', in the place of pairs, or null
  int64_t line_groups, groups, channels;
  int chunk;

  __host__ __device__ int64_t state_count() const {
    return line_groups * channels * 2 * groups * kSumModes;
  }
  __host__ __device__ int64_t pair_count() const { return lag_count() * chunk; }
  __host__ __device__ int64_t lag_count() const { return line_groups * channels * chunk; }
  __device__ float2& state(int64_t line_group, int64_t channel, int which, int64_t mode) const {
    const int64_t row = (line_group * channels + channel) * 2 + which;
    return states[row * groups * kSumModes + mode];
  }
  __device__ float& lag(int64_t line_group, int64_t channel, int lag) const {
    return lags[(line_group * channels + channel) * chunk + lag];
  }
  __device__ float& pair(int64_t line_group, int64_t channel, int i, int j) const {
    return pairs[((line_group * channels + channel) * chunk + i) * chunk + j];
  }
};

// h and s at the end of each sequence, (batch, channels, modes); without views if they are not
// wanted.
struct Ends {
  View<std::complex<float>, 3> h, s;
};

template <typename T>
struct GradientsLaunch {
  View<const std::complex<float>, 2> a, c;
  View<const T, 3> u;
  View<const std::complex<float>, 3> dh;  // or absent
  Parts parts;
  Ends ends;                            // after all whole stages
  View<std::complex<float>, 2> da, dc;  // out
  View<float, 1> dd;                    // out, or absent
};

// Lanes that share the lags, line groups and sequences of a mode, and modes that a block sees to at
// once.
inline constexpr int kGradientLanes = 8, kGradientModes = 32;
inline constexpr int kGradientThreads = kGradientLanes * kGradientModes;

// The sum of what lanes hold whose numbers differ by multiples of kFirst below kEnd, in each of
// them; both are powers of two.
template <int kFirst, int kEnd>
__device__ double over_lanes(double sum) {
#pragma unroll
  for (int mask = kFirst; mask < kEnd; mask *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
  return sum;
}
template <int kFirst, int kEnd>
__device__ float2 over_lanes(float2 sum) {
#pragma unroll
  for (int mask = kFirst; mask < kEnd; mask *= 2) {
    sum.x += __shfl_xor_sync(0xffffffffu, sum.x, mask);
    sum.y += __shfl_xor_sync(0xffffffffu, sum.y, mask);
  }
  return sum;
}
__device__ inline double2 over_gradient_lanes(double2 sum) {
  return make_double2(over_lanes<1, kGradientLanes>(sum.x), over_lanes<1, kGradientLanes>(sum.y));
}

// What dh gives da: sum over the lane's sequences of dh conj(s[time-1]).
template <typename T>
__device__ double2 final_gradient(const GradientsLaunch<T>& launch, int64_t channel, int64_t mode) {
  const float2 pole = number(launch.a(channel, mode));
  double2 sum = make_double2(0.0, 0.0);
  for (int64_t b = threadIdx.x % kGradientLanes; b < launch.dh.extent(0); b += kGradientLanes) {
    float2 h = number(launch.ends.h(b, channel, mode)), s = number(launch.ends.s(b, channel, mode));
    const int64_t time = launch.u.extent(1);
    for (int64_t t = time / kStage * kStage; t < time; ++t) {
      s = times_plus(pole, s, h);
      h = times_plus(pole, h, make_float2(gpu::widen(launch.u(b, t, channel)), 0.0f));
    }
    const float2 dh = number(launch.dh(b, channel, mode));
    sum.x += double{dh.x} * s.x + double{dh.y} * s.y;
    sum.y += double{dh.y} * s.x - double{dh.x} * s.y;
  }
  return sum;
}

// The lane's share of the sum over pairs of steps of a chunk that are `lag` apart.
template <int kChunk>
__device__ double share_of_lag(const Parts& parts, int64_t channel, int lag) {
  double sum = 0.0;
  if (parts.lags != nullptr) {
    for (int64_t group = threadIdx.x % kGradientLanes; group < parts.line_groups;
         group += kGradientLanes) {
      sum += parts.lag(group, channel, lag);
    }
    return sum;
  }
#pragma unroll 2
  for (int64_t group = 0; group < parts.line_groups; ++group) {
#pragma unroll
    for (int i = 0; i < kChunk; i += kGradientLanes) {
      const int later = lag + i + static_cast<int>(threadIdx.x) % kGradientLanes;
      if (later < kChunk) sum += parts.pair(group, channel, later, later - lag);
    }
  }
  return sum;
}

// A block for each channel.
template <typename Form>
__device__ void write_gradients(const GradientsLaunch<typename Form::Number>& launch) {
  constexpr int kChunk = Form::kChunk, kEach = kChunk / kGradientLanes;
  static_assert(kChunk <= kGradientModes);
  __shared__ double lags[kChunk];
  const int64_t channel = blockIdx.x, modes = launch.a.extent(1);
  const int lane = threadIdx.x % kGradientLanes, row = threadIdx.x / kGradientLanes;
  if (row < kChunk) {
    const double sum =
        over_lanes<1, kGradientLanes>(share_of_lag<kChunk>(launch.parts, channel, row));
    if (lane == 0) lags[row] = sum;
    if (threadIdx.x == 0 && !launch.dd.absent()) launch.dd(channel) = static_cast<float>(sum);
  }
  __syncthreads();
  // All lanes of a warp go on while one has a mode.
  for (int64_t first = 0; first < modes; first += kGradientModes) {
    const bool there = first + row < modes;
    const int64_t mode = there ? first + row : modes - 1;
    double2 dy_h = make_double2(0.0, 0.0), dy_s = dy_h;
    for (int64_t group = lane; group < launch.parts.line_groups; group += kGradientLanes) {
      const float2 h = launch.parts.state(group, channel, 0, mode);
      const float2 s = launch.parts.state(group, channel, 1, mode);
      dy_h = make_double2(dy_h.x + h.x, dy_h.y + h.y);
      dy_s = make_double2(dy_s.x + s.x, dy_s.y + s.y);
    }
    const double2 pole = wide(number(launch.a(channel, mode)));
    const int first_lag = lane * kEach;
    const double2 one_less = power_of(pole, max(0, first_lag - 1));
    double2 power = first_lag == 0 ? one_less : times(one_less, pole);
    double2 slope = make_double2(first_lag * one_less.x, first_lag * one_less.y);
#pragma unroll
    for (int lag = first_lag; lag < first_lag + kEach; ++lag) {
      const double sum = lags[lag];
      dy_h = make_double2(dy_h.x + power.x * sum, dy_h.y + power.y * sum);
      dy_s = make_double2(dy_s.x + slope.x * sum, dy_s.y + slope.y * sum);
      // lag + 1 powers of one less.
      slope = make_double2((lag + 1) * power.x, (lag + 1) * power.y);
      power = times(power, pole);
    }
    double2 last = make_double2(0.0, 0.0);
    if (!launch.dh.absent()) last = over_gradient_lanes(final_gradient(launch, channel, mode));
    dy_h = over_gradient_lanes(dy_h);
    dy_s = over_gradient_lanes(dy_s);
    if (!there || lane != 0) continue;
    launch.dc(channel, mode) = {float(dy_h.x), float(-dy_h.y)};
    const double2 through = times(wide(number(launch.c(channel, mode))), dy_s);
    launch.da(channel, mode) = {float(through.x + last.x), float(last.y - through.y)};
  }
}

template <typename Form>
__global__ void __launch_bounds__(kGradientThreads)
    gradients_kernel(const __grid_constant__ GradientsLaunch<typename Form::Number> launch) {
  write_gradients<Form>(launch);
}

}  // namespace longwave::ops::lti_cuda
