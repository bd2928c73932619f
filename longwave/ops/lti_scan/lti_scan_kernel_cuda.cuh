// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"
#include "longwave/ops/lti_scan/lti_panel_cuda.cuh"

namespace longwave::ops::lti_cuda {

extern __shared__ uint4 shared_memory[];

// States at the borders of lines: (groups of modes, batch, segments, channels, modes of a group).
struct Borders {
  float2* states;
  int64_t batch, segments, channels;
  int modes;

  __host__ __device__ int64_t size(int64_t groups) const {
    return groups * batch * segments * channels * modes;
  }
  __device__ float2& operator()(int64_t group, int64_t sequence, int64_t segment, int64_t channel,
                                int mode) const {
    const int64_t row = (group * batch + sequence) * segments + segment;
    return states[(row * channels + channel) * modes + mode];
  }
};

// The channel of this warp and the lines of this lane.
struct Lane {
  int64_t channel;
  bool there;  // whether the channel is
  Line lines[2];

  template <typename T>
  __device__ static Lane of(const Lines& lines, const Place& place) {
    Lane lane;
    lane.channel = place.first_channel + threadIdx.x / 32;
    lane.there = lane.channel < lines.channels;
    for (int r = 0; r < 2; ++r) {
      lane.lines[r] = line_of(lines, place.first_line + threadIdx.x % 32 / 4 + 8 * r);
    }
    return lane;
  }

  // Chunks after which line `row` is the state at the end of its sequence, up to less than a chunk.
  __device__ int whole_chunks(const Lines& all, int row) const {
    const Line& line = lines[row];
    const bool last = there && line.length >= 0 && line.segment == all.cut.segments - 1;
    return last ? line.length / kChunk : -1;
  }
};

// h' = a^16 h for a tile of states in two lines.
__device__ inline void hop(float (&h)[4], float2 pole) {
#pragma unroll
  for (int r = 0; r < 2; ++r) set_state(h, r, times(pole, state_of(h, r)));
}

// What a chunk later is left of dh/da: s' = a^16 s + 16 a^15 h.
__device__ inline void hop_slope(float (&s)[4], const float (&h)[4], float2 pole, float2 slope) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    set_state(s, r, times_plus(pole, state_of(s, r), times(slope, state_of(h, r))));
  }
}

template <typename T>
struct CarryLaunch {
  Lines lines;  // all segments but the last
  Signal<const T> u;
  int64_t groups;
  const uint4* tiles;  // (groups, channels, set, 32), kIn first and kInSlope next
  int64_t set;
  const float2* hops;  // (groups, channels, hop_rows, modes)
  int64_t hop_rows;
  Borders h, s;  // out: what a segment adds to the state and to its slope, in place of the segment
};

enum class Slope { kNone, kToo };

__device__ inline void swap(uint32_t*& panel, uint32_t*& other) {
  uint32_t* const former = panel;
  panel = other;
  other = former;
}

template <typename T>
struct CarryMemory {
  using Inputs = Reader<T, 3>;
  static constexpr int kBytes = Inputs::kPieces * 16 + 2 * Panel<T>::kWords * 4;
};

// Runs segments from zero.
template <typename T, int kStates, Slope kSlope>
__global__ void __launch_bounds__(kThreads<T>)
    carry_kernel(const __grid_constant__ CarryLaunch<T> launch) {
  constexpr int kSlopes = kSlope == Slope::kToo ? kStates : 1;
  constexpr int kModes = 4 * kStates;
  using Inputs = typename CarryMemory<T>::Inputs;
  uint32_t* panel = reinterpret_cast<uint32_t*>(shared_memory + Inputs::kPieces);
  uint32_t* next_panel = panel + Panel<T>::kWords;
  const Place place = place_of<T>(launch.lines, launch.groups);
  const Lane lane = Lane::of<T>(launch.lines, place);
  const int64_t row = place.group * launch.lines.channels + (lane.there ? lane.channel : 0);
  const uint4* const tiles = launch.tiles + row * launch.set * 32 + threadIdx.x % 32;
  const float2* const hops = launch.hops + row * launch.hop_rows * kModes + threadIdx.x % 4;
  float h[kStates][4] = {}, s[kSlopes][4] = {};
  uint4 in[kStates], in_slope[kSlopes];
#pragma unroll
  for (int j = 0; j < kStates; ++j) in[j] = tiles[j * 32];
  if constexpr (kSlope == Slope::kToo) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) in_slope[j] = tiles[(kStates + j) * 32];
  }
  Inputs u(launch.u, launch.lines, place, shared_memory);
  u.put(panel);
  u.fetch();
  __syncthreads();
  for (int64_t stage = 0; stage < launch.lines.cut.steps; stage += kStage) {
    u.put(next_panel);
    u.fetch();
#pragma unroll
    for (int c = 0; c < kStage / kChunk; ++c) {
      const Chunk<T> inputs(panel + first_word<T>() + c * (kChunk / 2));
#pragma unroll
      for (int j = 0; j < kStates; ++j) {
        const float2 pole = hops[4 * j];
        if constexpr (kSlope == Slope::kToo) {
          hop_slope(s[j], h[j], pole, hops[kHopSlope * kModes + 4 * j]);
        }
        hop(h[j], pole);
      }
      multiply_add_all<kStates>(inputs.part, in, h);
      if constexpr (kSlope == Slope::kToo) multiply_add_all<kStates>(inputs.part, in_slope, s);
    }
    __syncthreads();
    swap(panel, next_panel);
  }
  if (!lane.there) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const Line& line = lane.lines[r];
    if (line.length < 0) continue;
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      const int mode = 4 * j + threadIdx.x % 4;
      launch.h(place.group, line.sequence, line.segment, lane.channel, mode) = state_of(h[j], r);
      if constexpr (kSlope == Slope::kToo) {
        launch.s(place.group, line.sequence, line.segment, lane.channel, mode) = state_of(s[j], r);
      }
    }
  }
}

struct JoinLaunch {
  const float2* hops;  // (groups, channels, hop_rows, modes)
  int64_t hop_rows;
  View<const std::complex<float>, 3> first;  // (batch, channels, modes), or absent for zero
  int64_t groups;
  Borders h, s;  // in: what each segment but the last adds; out: the state before each segment
};

// A thread for each mode of a sequence goes from segment to segment, several reads ahead.
template <Slope kSlope>
__global__ void join_kernel(const __grid_constant__ JoinLaunch launch) {
  constexpr int kAhead = 8;
  const Borders& h = launch.h;
  int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int mode = static_cast<int>(index % h.modes);
  index /= h.modes;
  const int64_t channel = index % h.channels, sequence = index / h.channels % h.batch;
  const int64_t group = index / h.channels / h.batch, n = group * h.modes + mode;
  if (group >= launch.groups) return;
  const float2* const hops =
      launch.hops + (group * h.channels + channel) * launch.hop_rows * h.modes + mode;
  const float2 leap = hops[kLeap * h.modes];
  float2 leap_slope = {}, state = {}, slope = {};
  if constexpr (kSlope == Slope::kToo) leap_slope = hops[kLeapSlope * h.modes];
  if (!launch.first.absent() && n < launch.first.extent(2)) {
    state = number(launch.first(sequence, channel, n));
  }
  for (int64_t first = 0; first < h.segments; first += kAhead) {
    float2 added[kAhead] = {}, added_slope[kAhead] = {};
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i + 1 >= h.segments) continue;
      added[i] = h(group, sequence, first + i, channel, mode);
      if constexpr (kSlope == Slope::kToo) {
        added_slope[i] = launch.s(group, sequence, first + i, channel, mode);
      }
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= h.segments) continue;
      h(group, sequence, first + i, channel, mode) = state;
      if constexpr (kSlope == Slope::kToo) {
        launch.s(group, sequence, first + i, channel, mode) = slope;
        slope = times_plus(leap, slope, times_plus(leap_slope, state, added_slope[i]));
      }
      state = times_plus(leap, state, added[i]);
    }
  }
}

template <typename T>
struct ScanLaunch {
  Lines lines;
  Signal<const T> u;
  Signal<T> y;
  bool add;                           // to y
  const uint4* tiles;                 // (channels, ScanTiles::kCount, 32)
  const float2* hops;                 // (channels, ScanTiles::kModes)
  Borders h;                          // the state before each segment
  View<std::complex<float>, 3> last;  // out: (batch, channels, modes) after all whole chunks
};

// Constants that states are read out with, inputs on their way, and panels of two stages.
template <typename T, int kModeTiles>
struct ScanMemory {
  using Inputs = Reader<T, 2>;
  static constexpr int kInputs = kChannels<T> * ScanTiles<kModeTiles>::kStates * 32;
  static constexpr int kHops = kInputs + Inputs::kPieces;
  static constexpr int kPanel = kHops + kChannels<T> * ScanTiles<kModeTiles>::kModes / 2;
  static constexpr int kBytes = kPanel * 16 + 2 * Panel<T>::kWords * 4;
};

// Writes the states of line `row` to a view (batch, channels, modes).
template <int kStates>
__device__ void write_states(const float (&h)[kStates][4], const Lane& lane, int row,
                             const View<std::complex<float>, 3>& to) {
#pragma unroll
  for (int j = 0; j < kStates; ++j) {
    const int mode = 4 * j + threadIdx.x % 4;
    const float2 state = row == 0 ? state_of(h[j], 0) : state_of(h[j], 1);
    if (mode < to.extent(2)) {
      to(lane.lines[row].sequence, lane.channel, mode) = {state.x, state.y};
    }
  }
}

template <typename T, int kModeTiles>
__global__ void __launch_bounds__(kThreads<T>, 1)
    scan_kernel(const __grid_constant__ ScanLaunch<T> launch) {
  using Tiles = ScanTiles<kModeTiles>;
  using Memory = ScanMemory<T, kModeTiles>;
  const Place place = place_of<T>(launch.lines, 1);
  const Lane lane = Lane::of<T>(launch.lines, place);
  uint4* const out = shared_memory + threadIdx.x / 32 * Tiles::kStates * 32 + threadIdx.x % 32;
  uint32_t* panel = reinterpret_cast<uint32_t*>(shared_memory + Memory::kPanel);
  uint32_t* next_panel = panel + Panel<T>::kWords;
  const int64_t channel = lane.there ? lane.channel : 0;
  const uint4* const tiles = launch.tiles + channel * Tiles::kCount * 32 + threadIdx.x % 32;
  float2* const hops = reinterpret_cast<float2*>(shared_memory + Memory::kHops) +
                       threadIdx.x / 32 * Tiles::kModes + threadIdx.x % 4;
  float h[Tiles::kStates][4] = {};
  uint4 in[Tiles::kStates], straight[2];
#pragma unroll
  for (int j = 0; j < Tiles::kStates; ++j) {
    in[j] = tiles[(Tiles::kIn + j) * 32];
    out[j * 32] = tiles[(Tiles::kOut + j) * 32];
    if (threadIdx.x % 32 < 4) {
      hops[4 * j] = launch.hops[channel * kScanHops * Tiles::kModes + 4 * j + threadIdx.x % 4];
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Line& line = lane.lines[r];
      const int mode = 4 * j + threadIdx.x % 4;
      if (lane.there && line.length >= 0) {
        set_state(h[j], r, launch.h(0, line.sequence, line.segment, channel, mode));
      }
    }
  }
  straight[0] = tiles[Tiles::kStraight * 32];
  straight[1] = tiles[(Tiles::kStraight + 1) * 32];
  const int whole[2] = {lane.whole_chunks(launch.lines, 0), lane.whole_chunks(launch.lines, 1)};

  typename Memory::Inputs u(launch.u, launch.lines, place, shared_memory + Memory::kInputs);
  Writer<T> y(launch.y, launch.lines, place);
  u.put(panel);
  u.fetch();
  __syncthreads();
  int chunk = 0;
  for (int64_t stage = 0; stage < launch.lines.cut.steps; stage += kStage) {
    // Outputs of the stage before make room for inputs of the stage after, word by word.
    if (stage > 0) y.take(next_panel, launch.add);
    u.put(next_panel);
    u.fetch();
#pragma unroll 1
    for (int c = 0; c < kStage / kChunk; ++c, ++chunk) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (chunk == whole[r]) write_states(h, lane, r, launch.last);
      }
      uint32_t* const words = panel + first_word<T>() + c * (kChunk / 2);
      const Chunk<T> inputs(words);
      float sums[2][4] = {};
      multiply_add_all<2>(inputs.part, straight, sums);
#pragma unroll
      for (int k = 0; k < kModeTiles; ++k) {
        uint32_t states[2][4];  // high, low
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float(&from)[4] = h[2 * k + i / 2];
          const gpu::SplitPair pair = gpu::split(from[i % 2 * 2], from[i % 2 * 2 + 1]);
          states[0][i] = pair.high;
          states[1][i] = pair.low;
        }
        const uint4 readout[2] = {out[2 * k * 32], out[(2 * k + 1) * 32]};
        multiply_add_all<2>(states, readout, sums);
#pragma unroll
        for (int j = 2 * k; j < 2 * k + 2; ++j) hop(h[j], hops[4 * j]);
        multiply_add_all<2>(inputs.part, in + 2 * k, h + 2 * k);
      }
      write_chunk<T>(sums, words);
    }
    __syncthreads();
    swap(panel, next_panel);
  }
  if (chunk > 0) y.take(next_panel, launch.add);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (chunk == whole[r]) write_states(h, lane, r, launch.last);
  }
}

template <typename T>
struct TailLaunch {
  ScanSystem system;
  View<const T, 3> u;
  View<std::complex<float>, 3> last;  // in: after all whole chunks; out: after all steps
};

// Takes final states through the last steps, fewer than a chunk.
template <typename T>
__global__ void tail_kernel(const __grid_constant__ TailLaunch<T> launch) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t modes = launch.last.extent(2), channels = launch.last.extent(1);
  if (index >= launch.last.size()) return;
  const int64_t mode = index % modes, channel = index / modes % channels;
  const int64_t sequence = index / modes / channels, time = launch.u.extent(1);
  const ModeFactors factors = factors_of(launch.system, channel, mode);
  const float2 gain = factors.late == 1 ? times(factors.in, factors.pole) : factors.in;
  std::complex<float>& last = launch.last(sequence, channel, mode);
  float2 h = number(last);
  for (int64_t t = time / kChunk * kChunk; t < time; ++t) {
    const float u = gpu::widen(launch.u(sequence, t, channel));
    h = times_plus(factors.pole, h, make_float2(gain.x * u, gain.y * u));
  }
  last = {h.x, h.y};
}

}  // namespace longwave::ops::lti_cuda
