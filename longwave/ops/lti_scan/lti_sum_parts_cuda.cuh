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
  int64_t line_groups, groups, channels;
  int chunk;

  __host__ __device__ int64_t state_count() const {
    return line_groups * channels * 2 * groups * kSumModes;
  }
  __host__ __device__ int64_t pair_count() const { return line_groups * channels * chunk * chunk; }
  __device__ float2& state(int64_t line_group, int64_t channel, int which, int64_t mode) const {
    const int64_t row = (line_group * channels + channel) * 2 + which;
    return states[row * groups * kSumModes + mode];
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

// What dh gives da: sum over sequences of dh conj(s[time-1]).
template <typename T>
__device__ double2 final_gradient(const GradientsLaunch<T>& launch, int64_t channel, int64_t mode) {
  const float2 pole = number(launch.a(channel, mode));
  double2 sum = make_double2(0.0, 0.0);
  for (int64_t b = 0; b < launch.dh.extent(0); ++b) {
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

inline constexpr int kGradientThreads = 64;

// A block for each channel.
template <typename Form>
__global__ void __launch_bounds__(kGradientThreads)
    gradients_kernel(const __grid_constant__ GradientsLaunch<typename Form::Number> launch) {
  constexpr int kChunk = Form::kChunk;
  __shared__ double lags[kChunk];
  const int64_t channel = blockIdx.x;
  const int own_lag = static_cast<int>(threadIdx.x);
  if (own_lag < kChunk) {
    double sum = 0.0;
    for (int64_t group = 0; group < launch.parts.line_groups; ++group) {
#pragma unroll 8
      for (int i = 0; i < kChunk; ++i) {
        if (i >= own_lag) sum += launch.parts.pair(group, channel, i, i - own_lag);
      }
    }
    lags[own_lag] = sum;
    if (own_lag == 0 && !launch.dd.absent()) launch.dd(channel) = static_cast<float>(sum);
  }
  __syncthreads();
  for (int64_t mode = threadIdx.x; mode < launch.a.extent(1); mode += kGradientThreads) {
    double2 dy_h = make_double2(0.0, 0.0), dy_s = dy_h;
    for (int64_t group = 0; group < launch.parts.line_groups; ++group) {
      const float2 h = launch.parts.state(group, channel, 0, mode);
      const float2 s = launch.parts.state(group, channel, 1, mode);
      dy_h = make_double2(dy_h.x + h.x, dy_h.y + h.y);
      dy_s = make_double2(dy_s.x + s.x, dy_s.y + s.y);
    }
    const double2 pole = wide(number(launch.a(channel, mode)));
    double2 power = make_double2(1.0, 0.0), slope = make_double2(0.0, 0.0);
    for (int lag = 0; lag < kChunk; ++lag) {
      const double sum = lags[lag];
      dy_h = make_double2(dy_h.x + power.x * sum, dy_h.y + power.y * sum);
      dy_s = make_double2(dy_s.x + slope.x * sum, dy_s.y + slope.y * sum);
      // lag + 1 powers of one less.
      slope = make_double2((lag + 1) * power.x, (lag + 1) * power.y);
      power = times(power, pole);
    }
    launch.dc(channel, mode) = {float(dy_h.x), float(-dy_h.y)};
    const double2 through = times(wide(number(launch.c(channel, mode))), dy_s);
    double2 last = make_double2(0.0, 0.0);
    if (!launch.dh.absent()) last = final_gradient(launch, channel, mode);
    launch.da(channel, mode) = {float(through.x + last.x), float(last.y - through.y)};
  }
}

}  // namespace longwave::ops::lti_cuda
