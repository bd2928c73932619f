// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_scan_kernel_cuda.cuh"

namespace longwave::ops::lti_cuda {

// What the blocks of a line's group leave of the sums over steps; with s = dh/da, and l the lag
// within a chunk,
//
//   sum_t dy[t] h[t] = sum_chunks h out(dy) + sum_l a^l lags[l]
//   sum_t dy[t] s[t] = sum_chunks (s out(dy) + h out_slope(dy)) + sum_l l a^(l-1) lags[l]
struct Parts {
  float2* states;  // (line groups, channels, 2, mode groups, SumTiles::kModes)
  float* pairs;    // (line groups, channels, 16, 16): sum of dy[t] u[t'] of a chunk's steps
  int64_t line_groups, groups, channels;

  __host__ __device__ int64_t state_count() const {
    return line_groups * channels * 2 * groups * SumTiles::kModes;
  }
  __host__ __device__ int64_t pair_count() const {
    return line_groups * channels * kChunk * kChunk;
  }
  __device__ float2& state(int64_t line_group, int64_t channel, int which, int64_t mode) const {
    const int64_t row = (line_group * channels + channel) * 2 + which;
    return states[row * groups * SumTiles::kModes + mode];
  }
  __device__ float& pair(int64_t line_group, int64_t channel, int i, int j) const {
    return pairs[((line_group * channels + channel) * kChunk + i) * kChunk + j];
  }
};

// h and s at the end of each sequence, (batch, channels, modes); without views if they are not
// wanted.
struct Ends {
  View<std::complex<float>, 3> h, s;
};

template <typename T>
struct SumsLaunch {
  Lines lines;
  Signal<const T> u, dy;
  int64_t groups;      // of 16 modes
  const uint4* tiles;  // (groups, channels, SumTiles::kCount, 32)
  const float2* hops;  // (groups, channels, kSumHops, SumTiles::kModes)
  Borders h, s;        // before each segment
  Parts parts;         // out
  Ends ends;           // out, after all whole chunks
};

// Constants, both signals on their way, and a panel for each.
template <typename T>
struct SumsMemory {
  using Inputs = Reader<T, 1>;
  static constexpr int kU = kChannels<T> * SumTiles::kCount * 32;
  static constexpr int kDy = kU + Inputs::kPieces;
  static constexpr int kHops = kDy + Inputs::kPieces;
  static constexpr int kPanels = kHops + kChannels<T> * SumTiles::kModes;
  static constexpr int kBytes = kPanels * 16 + 2 * Panel<T>::kWords * 4;
};

// Pairs of steps of a chunk: (16 steps of dy, 16 of u), summed over lines.
template <typename T>
class PairSums {
 public:
  __device__ void add(const Chunk<T>& dy, const Chunk<T>& u) {
    uint32_t left[kPlanes<T>][4], right[kPlanes<T>][4];
#pragma unroll
    for (int p = 0; p < kPlanes<T>; ++p) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // Corners change places: what was 8 lines further is 8 columns further.
        left[p][i] = gpu::transposed(dy.part[p][i % 2 * 2 + i / 2]);
        right[p][i] = gpu::transposed(u.part[p][i]);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      multiply_add(left[0], right[0][2 * half], right[0][2 * half + 1], sums_[half]);
      if constexpr (kPlanes<T> == 2) {
        multiply_add(left[0], right[1][2 * half], right[1][2 * half + 1], sums_[half]);
        multiply_add(left[1], right[0][2 * half], right[0][2 * half + 1], sums_[half]);
      }
    }
  }

  __device__ void write(const Parts& parts, int64_t line_group, int64_t channel) const {
    const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = g + i / 2 * 8, column = half * 8 + 2 * q + i % 2;
        parts.pair(line_group, channel, row, column) = sums_[half][i];
      }
    }
  }

 private:
  float sums_[2][4] = {};
};

// The states of 16 modes, their slopes and the sums of both.
struct SumStates {
  static constexpr int kStates = SumTiles::kStates;
  float h[kStates][4] = {}, s[kStates][4] = {};
  float2 dc[kStates] = {}, da[kStates] = {};

  __device__ void load(const Borders& h_borders, const Borders& s_borders, int64_t group,
                       const Lane& lane) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Line& line = lane.lines[r];
      if (!lane.there || line.length < 0) continue;
#pragma unroll
      for (int j = 0; j < kStates; ++j) {
        const int n = 4 * j + threadIdx.x % 4;
        set_state(h[j], r, h_borders(group, line.sequence, line.segment, lane.channel, n));
        set_state(s[j], r, s_borders(group, line.sequence, line.segment, lane.channel, n));
      }
    }
  }

  template <typename T>
  __device__ void add(const Chunk<T>& u, const Chunk<T>& dy, const uint4* tiles,
                      const float2* hops) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      float sums[2][4] = {};
      const uint4 readout[2] = {tiles[(SumTiles::kOut + j) * 32],
                                tiles[(SumTiles::kOutSlope + j) * 32]};
      multiply_add_all<2>(dy.part, readout, sums);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float2 state = state_of(h[j], r), slope = state_of(s[j], r), p = state_of(sums[0], r);
        dc[j] = times_plus(state, p, dc[j]);
        da[j] = times_plus(slope, p, times_plus(state, state_of(sums[1], r), da[j]));
      }
      const float2 pole = hops[4 * j];
      hop_slope(s[j], h[j], pole, hops[SumTiles::kModes + 4 * j]);
      hop(h[j], pole);
      multiply_add(u.part, tiles[(SumTiles::kIn + j) * 32], h[j]);
      multiply_add(u.part, tiles[(SumTiles::kInSlope + j) * 32], s[j]);
    }
  }

  __device__ void write(const Parts& parts, int64_t line_group, int64_t group, int64_t channel) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      dc[j] = over_lines(dc[j]);
      da[j] = over_lines(da[j]);
      if (threadIdx.x % 32 >= 4) continue;
      const int64_t mode = group * SumTiles::kModes + 4 * j + threadIdx.x % 4;
      parts.state(line_group, channel, 0, mode) = dc[j];
      parts.state(line_group, channel, 1, mode) = da[j];
    }
  }

  // The sum of what the lanes with the same mode hold.
  __device__ static float2 over_lines(float2 sum) {
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2) {
      sum.x += __shfl_xor_sync(0xffffffffu, sum.x, mask);
      sum.y += __shfl_xor_sync(0xffffffffu, sum.y, mask);
    }
    return sum;
  }

  __device__ void write_ends(const Ends& ends, const Lane& lane, int row, int64_t group) const {
    if (ends.h.absent()) return;
    const int64_t first = group * SumTiles::kModes;
    const int64_t count = min(int64_t{SumTiles::kModes}, ends.h.extent(2) - first);
    write_states(h, lane, row, ends.h.slice(2, first, count));
    write_states(s, lane, row, ends.s.slice(2, first, count));
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads<T>, 1)
    sums_kernel(const __grid_constant__ SumsLaunch<T> launch) {
  using Memory = SumsMemory<T>;
  const Place place = place_of<T>(launch.lines, launch.groups);
  const Lane lane = Lane::of<T>(launch.lines, place);
  const int64_t line_group = place.first_line / kLines;
  uint4* const tiles = shared_memory + threadIdx.x / 32 * SumTiles::kCount * 32 + threadIdx.x % 32;
  uint32_t* const u_panel = reinterpret_cast<uint32_t*>(shared_memory + Memory::kPanels);
  uint32_t* const dy_panel = u_panel + Panel<T>::kWords;
  const int64_t row = place.group * launch.lines.channels + (lane.there ? lane.channel : 0);
  const uint4* const from = launch.tiles + row * SumTiles::kCount * 32 + threadIdx.x % 32;
  float2* const all_hops = reinterpret_cast<float2*>(shared_memory + Memory::kHops) +
                           threadIdx.x / 32 * 2 * SumTiles::kModes;
  const int hop_row = threadIdx.x % 32 < SumTiles::kModes ? kHop : kHopSlope;
  all_hops[threadIdx.x % 32] =
      launch.hops[(row * kSumHops + hop_row) * SumTiles::kModes + threadIdx.x % SumTiles::kModes];
  for (int i = 0; i < SumTiles::kCount; ++i) tiles[i * 32] = from[i * 32];
  SumStates states;
  states.load(launch.h, launch.s, place.group, lane);
  PairSums<T> pairs;
  const int whole[2] = {lane.whole_chunks(launch.lines, 0), lane.whole_chunks(launch.lines, 1)};

  typename Memory::Inputs u(launch.u, launch.lines, place, shared_memory + Memory::kU);
  typename Memory::Inputs dy(launch.dy, launch.lines, place, shared_memory + Memory::kDy);
  int chunk = 0;
  for (int64_t stage = 0; stage < launch.lines.cut.steps; stage += kStage) {
    u.put(u_panel);
    dy.put(dy_panel);
    u.fetch();
    dy.fetch();
    __syncthreads();
#pragma unroll 1
    for (int c = 0; c < kStage / kChunk; ++c, ++chunk) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (chunk == whole[r]) states.write_ends(launch.ends, lane, r, place.group);
      }
      const int first = first_word<T>() + c * (kChunk / 2);
      const Chunk<T> u_chunk(u_panel + first), dy_chunk(dy_panel + first);
      if (place.group == 0) pairs.add(dy_chunk, u_chunk);
      states.add(u_chunk, dy_chunk, tiles, all_hops + threadIdx.x % 4);
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (chunk == whole[r]) states.write_ends(launch.ends, lane, r, place.group);
  }
  // All lanes of a warp have the same channel.
  if (!lane.there) return;
  states.write(launch.parts, line_group, place.group, lane.channel);
  if (place.group == 0) pairs.write(launch.parts, line_group, lane.channel);
}

struct LagsLaunch {
  Parts parts;
  double* lags;       // out: (channels, 16)
  View<float, 1> dd;  // out, or absent
};

inline __global__ void lags_kernel(const __grid_constant__ LagsLaunch launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.parts.channels * kChunk) return;
  const int64_t channel = index / kChunk;
  const int lag = static_cast<int>(index % kChunk);
  double sum = 0.0;
  for (int64_t group = 0; group < launch.parts.line_groups; ++group) {
    for (int i = lag; i < kChunk; ++i) sum += launch.parts.pair(group, channel, i, i - lag);
  }
  launch.lags[index] = sum;
  if (lag == 0 && !launch.dd.absent()) launch.dd(channel) = static_cast<float>(sum);
}

template <typename T>
struct GradientsLaunch {
  View<const std::complex<float>, 2> a, c;
  View<const T, 3> u;
  View<const std::complex<float>, 3> dh;  // or absent
  Parts parts;
  const double* lags;                   // (channels, 16)
  Ends ends;                            // after all whole chunks
  View<std::complex<float>, 2> da, dc;  // out
};

// What dh gives da: sum over sequences of dh conj(s[time-1]).
template <typename T>
__device__ double2 final_gradient(const GradientsLaunch<T>& launch, int64_t channel, int64_t mode) {
  const float2 pole = number(launch.a(channel, mode));
  double2 sum = make_double2(0.0, 0.0);
  for (int64_t b = 0; b < launch.dh.extent(0); ++b) {
    float2 h = number(launch.ends.h(b, channel, mode)), s = number(launch.ends.s(b, channel, mode));
    const int64_t time = launch.u.extent(1);
    for (int64_t t = time / kChunk * kChunk; t < time; ++t) {
      s = times_plus(pole, s, h);
      h = times_plus(pole, h, make_float2(gpu::widen(launch.u(b, t, channel)), 0.0f));
    }
    const float2 dh = number(launch.dh(b, channel, mode));
    sum.x += double{dh.x} * s.x + double{dh.y} * s.y;
    sum.y += double{dh.y} * s.x - double{dh.x} * s.y;
  }
  return sum;
}

template <typename T>
__global__ void gradients_kernel(const __grid_constant__ GradientsLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= launch.a.size()) return;
  const int64_t channel = index / launch.a.extent(1), mode = index % launch.a.extent(1);
  double2 dy_h = make_double2(0.0, 0.0), dy_s = dy_h;
  for (int64_t group = 0; group < launch.parts.line_groups; ++group) {
    const float2 h = launch.parts.state(group, channel, 0, mode);
    const float2 s = launch.parts.state(group, channel, 1, mode);
    dy_h = make_double2(dy_h.x + h.x, dy_h.y + h.y);
    dy_s = make_double2(dy_s.x + s.x, dy_s.y + s.y);
  }
  const float2 pole = number(launch.a(channel, mode));
  double2 power = make_double2(1.0, 0.0), slope = make_double2(0.0, 0.0);
  for (int lag = 0; lag < kChunk; ++lag) {
    const double sum = launch.lags[channel * kChunk + lag];
    dy_h = make_double2(dy_h.x + power.x * sum, dy_h.y + power.y * sum);
    dy_s = make_double2(dy_s.x + slope.x * sum, dy_s.y + slope.y * sum);
    // lag + 1 powers of one less.
    slope = make_double2((lag + 1) * power.x, (lag + 1) * power.y);
    power = times(power, make_double2(pole.x, pole.y));
  }
  launch.dc(channel, mode) = {float(dy_h.x), float(-dy_h.y)};
  const float2 readout = number(launch.c(channel, mode));
  const double2 through = times(make_double2(readout.x, readout.y), dy_s);
  double2 last = make_double2(0.0, 0.0);
  if (!launch.dh.absent()) last = final_gradient(launch, channel, mode);
  launch.da(channel, mode) = {float(through.x + last.x), float(last.y - through.y)};
}

}  // namespace longwave::ops::lti_cuda
