// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <type_traits>

#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Constants of a scan's channel, in tiles: what inputs add to states (for each 16 steps of a
// chunk), what 16 numbers of states add to 8 outputs, and what 16 inputs add to 8 outputs that
// begin 0, 8, ... steps later.
template <typename Form, int kModeTiles>
struct ScanTiles {
  static constexpr int kStates = 2 * kModeTiles;     // tiles of 8 numbers
  static constexpr int kOutputs = 2 * Form::kSteps;  // tiles of 8 steps
  static constexpr int kIn = 0, kOut = Form::kSteps * kStates;
  static constexpr int kStraight = kOut + kModeTiles * kOutputs;
  static constexpr int kCount = kStraight + kOutputs;
  static constexpr int kModes = 8 * kModeTiles;
};

// Constants of 16 modes of a channel for the gradient's sums: what inputs add to h and to dh/da,
// and what output gradients make of those, in turns.
template <typename Form>
struct SumTiles {
  static constexpr int kStates = 4;
  static constexpr int kIn = 0, kOut = Form::kSteps * 2 * kStates;
  static constexpr int kCount = 2 * kOut;
};
inline constexpr int kSumModes = 16;

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

inline constexpr int kFactorWarps = 4, kFactorThreads = 32 * kFactorWarps;

__device__ inline double2 power_of(double2 base, int64_t exponent) {
  double2 result = make_double2(1.0, 0.0);
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result = times(result, base);
    base = times(base, base);
  }
  return result;
}
__device__ inline double2 wide(float2 z) { return make_double2(z.x, z.y); }
__device__ inline float2 rounded(double2 z) { return make_float2(float(z.x), float(z.y)); }

// Powers 0 to kHighest of the poles of up to 32 modes.
template <int kHighest>
struct Powers {
  float2 of[kHighest + 1][33];

  // Each lane sees to a mode, each of so many warps to a part of the powers.
  template <int kWarps>
  __device__ void fill(float2 pole, int warp) {
    constexpr int kEach = kHighest / kWarps;
    const int first = warp * kEach;
    const int last = warp + 1 == kWarps ? kHighest : first + kEach - 1;
    double2 power = power_of(wide(pole), first);
    for (int i = first; i <= last; ++i) {
      of[i][threadIdx.x % 32] = rounded(power);
      power = times(power, wide(pole));
    }
  }
};

// Rows of factors of modes: what a chunk and a segment leave of a state, and the derivatives of
// these with respect to the pole.
inline constexpr int kHop = 0, kLeap = 1, kHopSlope = 2, kLeapSlope = 3;
inline constexpr int kScanHops = 2, kSumHops = 4;

// Whether outputs are rounded so far that states may enter them with the 11 bits of tf32.
template <typename T>
inline constexpr bool kRoundReadout = std::is_same_v<T, __nv_bfloat16>;

// A number of 11 bits, nearer to zero.
__device__ inline uint32_t cut(float x) { return __float_as_uint(x) & 0xffffe000u; }
// That takes half a unit on average, 2^-11 / m for numbers m 2^n with m from 1 to 2, or 2^-11 / (2
// ln 2) over all m. Constants that multiply such numbers make up for it.
inline constexpr float kCutGain = 1.0f + 0.7213475f / 2048;

// A constant operand like make_tile's that states of 8 modes are read out with: rows are real and
// imaginary parts in turns. In tf32 those of a lane's mode stand 4 apart; the upper 4 modes follow.
template <typename T, typename Value>
__device__ uint4 make_readout(const Value& value) {
  if constexpr (!kRoundReadout<T>) {
    return make_tile(value);
  } else {
    const int row = threadIdx.x % 4 * 2;
    const auto rounded = [&](int n) { return gpu::to_tf32(kCutGain * value(n)); };
    return make_uint4(rounded(row), rounded(row + 1), rounded(row + 8), rounded(row + 9));
  }
}

// Powers 0 to kStep of a pole, rounded, and the last one in double. No more than eight roundings
// enter one of them: it has more digits right than the sum of two bfloat16 has.
class PolePowers {
  static constexpr int kHalf = kStep / 2;

 public:
  __device__ explicit PolePowers(float2 pole) : pole_(pole) {
    double2 half = wide(pole);
#pragma unroll
    for (int i = 1; i < kHalf; i *= 2) half = times(half, half);
    half_ = rounded(half);
    last_ = times(half, half);
  }

  __device__ double2 last() const { return last_; }

  // Calls `take` with each power and its exponent. All are made anew: registers are too few to keep
  // them.
  template <typename Take>
  __device__ void visit(const Take& take) const {
    float2 low[kHalf] = {{1.0f, 0.0f}, pole_};
    asm volatile("" : "+f"(low[1].x));
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      if (i > 1) low[i] = times(low[i / 2], low[(i + 1) / 2]);
      take(i, low[i]);
      take(kHalf + i, i == 0 ? half_ : times(half_, low[i]));
    }
    take(kStep, rounded(last_));
  }

 private:
  float2 pole_, half_;
  double2 last_;
};

// What the constants of a channel are made of, in shared memory: first those that make outputs,
// then in their place those that inputs meet.
template <typename Form, int kModeTiles>
struct ChannelFactors {
  static constexpr int kChunk = Form::kChunk;
  static_assert(kChunk == kStep);
  using Tiles = ScanTiles<Form, kModeTiles>;

  // Real and imaginary parts of gains times powers of poles. What the lanes of a tile read lies in
  // different banks.
  static constexpr int kRow = Tiles::kModes + 4;
  float products[2][kChunk + 1][kRow];
  float responses[kChunk];  // of outputs to inputs so many steps before

  // By so many warps, of which this is one, that wait for each other in `synchronize`; each lane
  // knows a mode. Calls `take_out` where out_tile can be called; then the other tiles can.
  template <int kWarps, typename Synchronize, typename TakeOut>
  __device__ void make(const ScanSystem& system, int64_t channel, const ModeFactors& mode,
                       const PolePowers& powers, int warp, const Synchronize& synchronize,
                       const TakeOut& take_out) {
    put<kWarps>(mode.out, powers, warp);
    synchronize();
    take_out();
    // One of the gains is one: the products with the other make the responses.
    if (mode.late == 0) respond<kWarps>(system, channel, warp);
    synchronize();
    put<kWarps>(mode.in, powers, warp);
    synchronize();
    if (mode.late == 1) respond<kWarps>(system, channel, warp);
    synchronize();
  }

  // Tiles of each kind by their place in it.
  __device__ uint4 in_tile(int tile, int late) const {
    const int column = threadIdx.x % 32 / 4, mode = tile % Tiles::kStates * 4 + column / 2;
    const int power = kChunk - 1 - tile / Tiles::kStates * kStep + late;
    return make_tile([&](int t) { return products[column % 2][power - t][mode]; });
  }
  __device__ uint4 out_tile(int tile, int late) const {
    const int power = tile % Tiles::kOutputs * 8 + threadIdx.x % 32 / 4 + 1 - late;
    return make_readout<typename Form::Number>([&](int row) {
      const float x = products[row % 2][power][tile / Tiles::kOutputs * 8 + row / 2];
      return row % 2 == 0 ? x : -x;
    });
  }
  __device__ uint4 straight_tile(int tile) const {
    const int i = tile * 8 + threadIdx.x % 32 / 4;
    return make_tile([&](int t) { return i >= t ? responses[i - t] : 0.0f; });
  }

 private:
  // Each lane sees to its mode, each warp to a part of the powers.
  template <int kWarps>
  __device__ void put(float2 gain, const PolePowers& powers, int warp) {
    const int mode = threadIdx.x % 32;
    powers.visit([&](int i, float2 power) {
      if (i % kWarps != warp || mode >= Tiles::kModes) return;
      const float2 product = times(gain, power);
      products[0][i][mode] = product.x;
      products[1][i][mode] = product.y;
    });
  }

  template <int kWarps>
  __device__ void respond(const ScanSystem& system, int64_t channel, int warp) {
    constexpr int kEach = 32 * kWarps / kChunk;  // lanes for a lag
    const int thread = 32 * warp + threadIdx.x % 32, lag = thread / kEach;
    float response = 0.0f;
#pragma unroll
    for (int i = 0; i < Tiles::kModes / kEach; ++i) {
      response += products[0][lag][i * kEach + thread % kEach];
    }
#pragma unroll
    for (int offset = 1; offset < kEach; offset *= 2) {
      response += __shfl_xor_sync(0xffffffffu, response, offset);
    }
    if (thread % kEach != 0) return;
    const bool skips = lag == 0 && !system.d.absent();
    responses[lag] = skips ? response + system.d(channel) : response;
  }
};

struct ScanFactorsLaunch {
  ScanSystem system;
  int64_t steps;  // of a segment
  uint4* tiles;   // (channels, ScanTiles::kCount, 32)
  float2* hops;   // (channels, kScanHops, ScanTiles::kModes)
};

// A block for each channel.
template <typename Form, int kModeTiles>
__global__ void __launch_bounds__(kFactorThreads)
    scan_factors_kernel(const __grid_constant__ ScanFactorsLaunch launch) {
  using Tiles = ScanTiles<Form, kModeTiles>;
  __shared__ ChannelFactors<Form, kModeTiles> factors;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t channel = blockIdx.x;
  const ModeFactors mode = factors_of(launch.system, channel, lane);
  const PolePowers powers(mode.pole);
  uint4* const tiles = launch.tiles + channel * Tiles::kCount * 32 + lane;
  factors.template make<kFactorWarps>(
      launch.system, channel, mode, powers, warp, [] { __syncthreads(); },
      [&] {
        for (int tile = Tiles::kOut + warp; tile < Tiles::kStraight; tile += kFactorWarps) {
          tiles[tile * 32] = factors.out_tile(tile - Tiles::kOut, mode.late);
        }
      });
  for (int tile = warp; tile < Tiles::kOut; tile += kFactorWarps) {
    tiles[tile * 32] = factors.in_tile(tile, mode.late);
  }
  for (int tile = Tiles::kStraight + warp; tile < Tiles::kCount; tile += kFactorWarps) {
    tiles[tile * 32] = factors.straight_tile(tile - Tiles::kStraight);
  }
  // A warp for each row of hops.
  if (warp >= kScanHops || lane >= Tiles::kModes) return;
  launch.hops[(channel * kScanHops + warp) * Tiles::kModes + lane] =
      rounded(warp == kHop ? powers.last() : power_of(wide(mode.pole), launch.steps));
}

struct SumFactorsLaunch {
  View<const std::complex<float>, 2> a;
  int64_t groups, steps;
  uint4* tiles;  // (groups, channels, SumTiles::kCount, 32)
  float2* hops;  // (groups, channels, kSumHops, kSumModes)
};

// A block for each group and channel.
template <typename Form>
__global__ void __launch_bounds__(kFactorThreads)
    sum_factors_kernel(const __grid_constant__ SumFactorsLaunch launch) {
  using Tiles = SumTiles<Form>;
  constexpr int kChunk = Form::kChunk, kLast = kChunk - 1;
  __shared__ Powers<kChunk> powers;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t channels = launch.a.extent(0), row = blockIdx.x;
  const int64_t channel = row % channels, n = row / channels * kSumModes + lane;
  const bool there = lane < kSumModes && n < launch.a.extent(1);
  const float2 pole = there ? number(launch.a(channel, n)) : make_float2(0.0f, 0.0f);
  powers.template fill<kFactorWarps>(pole, warp);
  __syncthreads();
  const int g = lane / 4;
  uint4* const tiles = launch.tiles + row * Tiles::kCount * 32 + lane;
  for (int tile = warp; tile < Tiles::kOut; tile += kFactorWarps) {
    const int mode = tile / 2 % Tiles::kStates * 4 + g / 2;
    const int first = tile / (2 * Tiles::kStates) * kStep;
    // The part that this lane's column wants of a^power or, in every other tile, of its derivative.
    const auto part = [&](int power) {
      const int factor = tile % 2 == 0 ? 1 : power;
      if (factor == 0) return 0.0f;
      const float2 x = powers.of[power - tile % 2][mode];
      return factor * (g % 2 == 0 ? x.x : x.y);
    };
    tiles[(Tiles::kIn + tile) * 32] = make_tile([&](int t) { return part(kLast - first - t); });
    tiles[(Tiles::kOut + tile) * 32] = make_tile([&](int t) { return part(first + t + 1); });
  }
  // A warp for each row of hops.
  static_assert(kSumHops == kFactorWarps);
  if (lane >= kSumModes) return;
  const int64_t steps = warp == kHop || warp == kHopSlope ? kChunk : launch.steps;
  const bool slope = warp == kHopSlope || warp == kLeapSlope;
  double2 hop = steps > 0 || !slope ? power_of(wide(pole), steps - slope) : make_double2(0.0, 0.0);
  if (slope) hop = make_double2(steps * hop.x, steps * hop.y);
  launch.hops[(row * kSumHops + warp) * kSumModes + lane] = rounded(hop);
}

}  // namespace longwave::ops::lti_cuda
