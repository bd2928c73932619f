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

  template <typename Form>
  __device__ static Lane of(const Lines& lines, const Place& place) {
    Lane lane;
    lane.channel = place.first_channel + channel_of_warp<Form>();
    const int64_t first = place.first_line + lines_of_warp<Form>() * kStep;
    lane.there = lane.channel < lines.channels;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      lane.lines[r] = line_of(lines, first + threadIdx.x % 32 / 4 + 8 * r);
    }
    return lane;
  }

  // Stages after which line `row` is the state at the end of its sequence, up to less than a stage.
  __device__ int whole_stages(const Lines& all, int row) const {
    const Line& line = lines[row];
    const bool last = there && line.length >= 0 && line.segment == all.cut.segments - 1;
    return last ? line.length / kStage : -1;
  }
};

// h' = a^chunk h for a tile of states in two lines.
__device__ inline void hop(float (&h)[4], float2 pole) {
#pragma unroll
  for (int r = 0; r < 2; ++r) set_state(h, r, times(pole, state_of(h, r)));
}

// What a chunk later is left of dh/da: s' = a^chunk s + chunk a^(chunk - 1) h.
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
  const uint4* tiles;  // (groups, channels, set, 32), kIn first
  int64_t set;
  const float2* hops;  // (groups, channels, hop_rows, modes)
  int64_t hop_rows;
  Borders h, s;  // out: what a segment adds to the state and to its slope, in place of the segment
};

enum class Slope { kNone, kToo };

// Half of the warps that share a scheduler move numbers first and multiply then, the others the
// other way round: neither memory nor tensor cores wait for all of them.
__device__ inline bool moves_first() { return threadIdx.x / 128 % 2 == 0; }

__device__ inline void swap(uint32_t*& panel, uint32_t*& other) {
  uint32_t* const former = panel;
  panel = other;
  other = former;
}

// 48 KB on their way, or 64.
template <typename Form>
struct CarryMemory {
  using Inputs = Reader<Form, sizeof(typename Form::Number) == 4 ? 2 : 3>;
  static constexpr int kBytes = Inputs::kPieces * 16 + 2 * Panel<Form>::kWords * 4;
};

// Runs segments from zero.
template <typename Form, int kStates, Slope kSlope>
__global__ void __launch_bounds__(Form::kThreads, 1)
    carry_kernel(const __grid_constant__ CarryLaunch<typename Form::Number> launch) {
  // Tiles of h and of s take turns.
  constexpr int kEach = kSlope == Slope::kToo ? 2 : 1, kTiles = kEach * kStates;
  constexpr int kModes = 4 * kStates;
  using Inputs = typename CarryMemory<Form>::Inputs;
  uint32_t* panel = reinterpret_cast<uint32_t*>(shared_memory + Inputs::kPieces);
  uint32_t* next_panel = panel + Panel<Form>::kWords;
  const Place place = place_of<Form>(launch.lines, launch.groups);
  const Lane lane = Lane::of<Form>(launch.lines, place);
  const int64_t row = place.group * launch.lines.channels + (lane.there ? lane.channel : 0);
  const uint4* const tiles = launch.tiles + row * launch.set * 32 + threadIdx.x % 32;
  const float2* const hops = launch.hops + row * launch.hop_rows * kModes + threadIdx.x % 4;
  float states[kTiles][4] = {};
  uint4 in[Form::kSteps][kTiles];
#pragma unroll
  for (int k = 0; k < Form::kSteps; ++k) {
#pragma unroll
    for (int j = 0; j < kTiles; ++j) in[k][j] = tiles[(k * kTiles + j) * 32];
  }
  Inputs u(launch.u, launch.lines, place, shared_memory);
  u.put(panel);
  u.fetch();
  __syncthreads();
  const auto move = [&] {
    u.put(next_panel);
    u.fetch();
  };
  for (int64_t stage = 0; stage < launch.lines.cut.steps; stage += kStage) {
    if (moves_first()) move();
#pragma unroll
    for (int c = 0; c < kStage / Form::kChunk; ++c) {
      const Chunk<Form> inputs(panel + first_word<Form>() + word_at<Form>(0, c * Form::kChunk / 8));
#pragma unroll
      for (int j = 0; j < kStates; ++j) {
        const float2 pole = hops[4 * j];
        float(&h)[4] = states[kEach * j];
        if constexpr (kSlope == Slope::kToo) {
          hop_slope(states[kEach * j + 1], h, pole, hops[kHopSlope * kModes + 4 * j]);
        }
        hop(h, pole);
      }
#pragma unroll
      for (int k = 0; k < Form::kSteps; ++k) multiply_add_all(inputs.of[k], in[k], states, 0);
    }
    if (!moves_first()) move();
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
      const auto leave = [&](const Borders& borders, int which) {
        borders(place.group, line.sequence, line.segment, lane.channel, mode) =
            state_of(states[kEach * j + which], r);
      };
      leave(launch.h, 0);
      if constexpr (kSlope == Slope::kToo) leave(launch.s, 1);
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
  constexpr int kAhead = kSlope == Slope::kToo ? 8 : 32;
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

}  // namespace longwave::ops::lti_cuda
