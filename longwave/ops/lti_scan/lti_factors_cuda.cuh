// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>

#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Constants of a scan's channel, in tiles: what inputs add to states, what states add to outputs,
// and what inputs add to outputs of the same chunk.
template <int kModeTiles>
struct ScanTiles {
  static constexpr int kStates = 2 * kModeTiles;  // tiles of 8 numbers
  static constexpr int kIn = 0, kOut = kStates, kStraight = 2 * kStates;
  static constexpr int kCount = 2 * kStates + 2;
  static constexpr int kModes = 8 * kModeTiles;
};

// Constants of 16 modes of a channel for the gradient's sums: what inputs add to h and to dh/da,
// and what output gradients make of those.
struct SumTiles {
  static constexpr int kStates = 4;
  static constexpr int kIn = 0, kInSlope = 4, kOut = 8, kOutSlope = 12;
  static constexpr int kCount = 16;
  static constexpr int kModes = 16;
};

// Forwards, state h = a h + u and readout c h. The adjoint state runs backwards: with q = conj(a) g
// it is q = conj(a) (q + conj(c) dy) and du = Re(q + conj(c) dy).
enum class Direction { kForward, kAdjoint };

struct ScanSystem {
  Direction direction;
  View<const std::complex<float>, 2> a, c;
  View<const float, 1> d;
};

__device__ inline float2 number(const std::complex<float>& z) {
  return make_float2(z.real(), z.imag());
}

// The factors of a mode: state' = pole^16 state + sum_j in pole^(15 - j + late) u[j],
// y[i] = Re(out pole^(i + 1 - late) state), and in, out are one where the gain is elsewhere.
struct ModeFactors {
  float2 pole = {0.0f, 0.0f}, in = {0.0f, 0.0f}, out = {0.0f, 0.0f};
  int late = 0;
};

__device__ inline ModeFactors factors_of(const ScanSystem& system, int64_t channel, int64_t mode) {
  ModeFactors factors;
  factors.late = system.direction == Direction::kAdjoint ? 1 : 0;
  if (mode >= system.a.extent(1)) return factors;
  factors.pole = number(system.a(channel, mode));
  factors.in = factors.out = make_float2(1.0f, 0.0f);
  const float2 gain = number(system.c(channel, mode));
  if (system.direction == Direction::kForward) {
    factors.out = gain;
  } else {
    factors.pole.y = -factors.pole.y;
    factors.in = make_float2(gain.x, -gain.y);
  }
  return factors;
}

inline constexpr int kFactorWarps = 4;

// Powers 0 to 16 of the poles of up to 32 modes, a lane each.
struct Powers {
  float2 of[kChunk + 1][32];

  // Also hands each power to `each(power, i)`, in double.
  template <typename Each>
  __device__ void fill(float2 pole, const Each& each) {
    double2 power = make_double2(1.0, 0.0);
    for (int i = 0; i <= kChunk; ++i) {
      of[i][threadIdx.x % 32] = make_float2(float(power.x), float(power.y));
      each(power, i);
      power = times(power, make_double2(pole.x, pole.y));
    }
    __syncwarp();
  }
};

__device__ inline double2 power_of(double2 base, int64_t exponent) {
  double2 result = make_double2(1.0, 0.0);
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result = times(result, base);
    base = times(base, base);
  }
  return result;
}
__device__ inline float2 rounded(double2 z) { return make_float2(float(z.x), float(z.y)); }

// Rows of factors of modes: what a chunk and a segment leave of a state, and the derivatives of
// these with respect to the pole.
inline constexpr int kHop = 0, kLeap = 1, kHopSlope = 2, kLeapSlope = 3;
inline constexpr int kScanHops = 2, kSumHops = 4;

struct ScanFactorsLaunch {
  ScanSystem system;
  int64_t steps;  // of a segment
  uint4* tiles;   // (channels, ScanTiles::kCount, 32)
  float2* hops;   // (channels, kScanHops, ScanTiles::kModes)
};

template <int kModeTiles>
__global__ void __launch_bounds__(32 * kFactorWarps)
    scan_factors_kernel(const __grid_constant__ ScanFactorsLaunch launch) {
  using Tiles = ScanTiles<kModeTiles>;
  __shared__ Powers all_powers[kFactorWarps];
  __shared__ float2 all_gains[kFactorWarps][2][32];
  __shared__ float all_responses[kFactorWarps][kChunk];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t channel = int64_t{blockIdx.x} * kFactorWarps + warp;
  if (channel >= launch.system.a.extent(0)) return;
  const ModeFactors factors = factors_of(launch.system, channel, lane);
  Powers& powers = all_powers[warp];
  float2(&gains)[2][32] = all_gains[warp];
  float(&responses)[kChunk] = all_responses[warp];
  gains[0][lane] = factors.in;
  gains[1][lane] = factors.out;
  const float2 gain = times(factors.in, factors.out);
  const float skip = launch.system.d.absent() ? 0.0f : launch.system.d(channel);
  powers.fill(factors.pole, [&](double2 power, int i) {
    double response = gain.x * power.x - gain.y * power.y;
    for (int mask = 16; mask > 0; mask /= 2) {
      response += __shfl_xor_sync(0xffffffffu, response, mask);
    }
    if (lane == 0 && i < kChunk) {
      responses[i] = static_cast<float>(response + (i == 0 ? skip : 0.0));
    }
  });
  const int g = lane / 4;
  uint4* const tiles = launch.tiles + channel * Tiles::kCount * 32 + lane;
  for (int j = 0; j < Tiles::kStates; ++j) {
    const int mode = 4 * j + g / 2;
    tiles[(Tiles::kIn + j) * 32] = make_tile([&](int t) {
      const float2 x = times(gains[0][mode], powers.of[kChunk - 1 - t + factors.late][mode]);
      return g % 2 == 0 ? x.x : x.y;
    });
    // Two halves of the chunk for each 16 numbers of states.
    const int i = j % 2 * 8 + g;
    tiles[(Tiles::kOut + j) * 32] = make_tile([&](int row) {
      const int n = j / 2 * 8 + row / 2;
      const float2 x = times(gains[1][n], powers.of[i + 1 - factors.late][n]);
      return row % 2 == 0 ? x.x : -x.y;
    });
  }
  for (int half = 0; half < 2; ++half) {
    const int i = half * 8 + g;
    tiles[(Tiles::kStraight + half) * 32] =
        make_tile([&](int t) { return i >= t ? responses[i - t] : 0.0f; });
  }
  if (lane >= Tiles::kModes) return;
  const double2 pole = make_double2(factors.pole.x, factors.pole.y);
  float2* const hops = launch.hops + channel * kScanHops * Tiles::kModes + lane;
  hops[kHop * Tiles::kModes] = powers.of[kChunk][lane];
  hops[kLeap * Tiles::kModes] = rounded(power_of(pole, launch.steps));
}

struct SumFactorsLaunch {
  View<const std::complex<float>, 2> a;
  int64_t groups, steps;
  uint4* tiles;  // (groups, channels, SumTiles::kCount, 32)
  float2* hops;  // (groups, channels, kSumHops, SumTiles::kModes)
};

inline __global__ void __launch_bounds__(32 * kFactorWarps)
    sum_factors_kernel(const __grid_constant__ SumFactorsLaunch launch) {
  using Tiles = SumTiles;
  __shared__ Powers all_powers[kFactorWarps];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t channels = launch.a.extent(0);
  const int64_t row = int64_t{blockIdx.x} * kFactorWarps + warp;
  if (row >= launch.groups * channels) return;
  const int64_t channel = row % channels, n = row / channels * Tiles::kModes + lane;
  const bool there = lane < Tiles::kModes && n < launch.a.extent(1);
  Powers& powers = all_powers[warp];
  const float2 pole = there ? number(launch.a(channel, n)) : make_float2(0.0f, 0.0f);
  powers.fill(pole, [](double2, int) {});
  const int g = lane / 4;
  uint4* const tiles = launch.tiles + row * Tiles::kCount * 32 + lane;
  for (int j = 0; j < Tiles::kStates; ++j) {
    const int mode = 4 * j + g / 2;
    // The part of factor a^power that this lane's column wants.
    const auto part = [&](int factor, int power) {
      if (factor == 0) return 0.0f;
      const float2 x = powers.of[power][mode];
      return factor * (g % 2 == 0 ? x.x : x.y);
    };
    tiles[(Tiles::kIn + j) * 32] = make_tile([&](int t) { return part(1, kChunk - 1 - t); });
    tiles[(Tiles::kInSlope + j) * 32] =
        make_tile([&](int t) { return part(kChunk - 1 - t, kChunk - 2 - t); });
    tiles[(Tiles::kOut + j) * 32] = make_tile([&](int t) { return part(1, t + 1); });
    tiles[(Tiles::kOutSlope + j) * 32] = make_tile([&](int t) { return part(t + 1, t); });
  }
  if (lane >= Tiles::kModes) return;
  float2* const hops = launch.hops + row * kSumHops * Tiles::kModes + lane;
  const double2 one = make_double2(pole.x, pole.y);
  const float2 before = powers.of[kChunk - 1][lane];
  hops[kHop * Tiles::kModes] = powers.of[kChunk][lane];
  hops[kHopSlope * Tiles::kModes] = make_float2(kChunk * before.x, kChunk * before.y);
  hops[kLeap * Tiles::kModes] = rounded(power_of(one, launch.steps));
  const double2 less = launch.steps > 0 ? power_of(one, launch.steps - 1) : make_double2(0.0, 0.0);
  hops[kLeapSlope * Tiles::kModes] =
      rounded(make_double2(launch.steps * less.x, launch.steps * less.y));
}

}  // namespace longwave::ops::lti_cuda
