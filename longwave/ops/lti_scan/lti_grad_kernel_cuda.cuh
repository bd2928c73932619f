// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_scan_kernel_cuda.cuh"
#include "longwave/ops/lti_scan/lti_sum_parts_cuda.cuh"

namespace longwave::ops::lti_cuda {

template <typename T>
struct SumsLaunch {
  Lines lines;
  Signal<const T> u, dy;
  int64_t groups;      // of 16 modes
  const uint4* tiles;  // (groups, channels, SumTiles::kCount, 32)
  const float2* hops;  // (groups, channels, kSumHops, kSumModes)
  Borders h, s;        // before each segment
  Parts parts;         // out
  Ends ends;           // out, after all whole stages
};

// Constants, both signals on their way, and a panel for each.
template <typename Form>
struct SumsMemory {
  using Inputs = Reader<Form, 1>;
  static constexpr int kU = Form::kChannels * SumTiles<Form>::kCount * 32;
  static constexpr int kDy = kU + Inputs::kPieces;
  static constexpr int kHops = kDy + Inputs::kPieces;
  static constexpr int kPanels = kHops + Form::kChannels * kSumModes;
  static constexpr int kBytes = kPanels * 16 + 2 * Panel<Form>::kWords * 4;
};

// Pairs of steps of a chunk, (steps of dy, earlier ones of u), summed over lines; in tiles of 16
// and 8 steps.
template <typename Form>
class PairSums {
  static constexpr int kSteps = Form::kSteps, kParts = Form::kParts;

 public:
  __device__ void add(const Chunk<Form>& dy, const Chunk<Form>& u) {
    uint32_t right[kSteps][kParts][4];
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      uint32_t left[kParts][4];
#pragma unroll
      for (int p = 0; p < kParts; ++p) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          // Corners change places: what was 8 lines further is 8 columns further.
          left[p][i] = gpu::transposed(dy.of[k][p][i % 2 * 2 + i / 2]);
          right[k][p][i] = gpu::transposed(u.of[k][p][i]);
        }
      }
#pragma unroll
      for (int term = 0; term < 2 * kParts - 1; ++term) {
#pragma unroll
        for (int n = 0; n < 2 * k + 2; ++n) {
          const uint32_t(&x)[4] = right[n / 2][term == 1 ? 1 : 0];
          multiply_add(left[left_part(term)], make_uint2(x[n % 2 * 2], x[n % 2 * 2 + 1]),
                       sums_[k * (k + 1) + n]);
        }
      }
    }
  }

  __device__ void write(const Parts& parts, int64_t line_group, int64_t channel) const {
    const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int n = 0; n < 2 * k + 2; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = k * kStep + g + i / 2 * 8, column = n * 8 + 2 * q + i % 2;
          parts.pair(line_group, channel, row, column) = sums_[k * (k + 1) + n][i];
        }
      }
    }
  }

 private:
  float sums_[kSteps * (kSteps + 1)][4] = {};
};

// The states of 16 modes and their slopes, tiles of both in turns, and the sums of both.
template <typename Form>
struct SumStates {
  using Tiles = SumTiles<Form>;
  static constexpr int kStates = Tiles::kStates;
  float states[2 * kStates][4] = {};
  float2 dc[kStates] = {}, da[kStates] = {};

  __device__ void load(const Borders& h, const Borders& s, int64_t group, const Lane& lane) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Line& line = lane.lines[r];
      if (!lane.there || line.length < 0) continue;
#pragma unroll
      for (int j = 0; j < kStates; ++j) {
        const int n = 4 * j + threadIdx.x % 4;
        set_state(states[2 * j], r, h(group, line.sequence, line.segment, lane.channel, n));
        set_state(states[2 * j + 1], r, s(group, line.sequence, line.segment, lane.channel, n));
      }
    }
  }

  __device__ void add(const Chunk<Form>& u, const Chunk<Form>& dy, const uint4* tiles,
                      const float2* hops) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      // Constants of h and of s for the k-th 16 steps.
      const auto load = [&](int first, int k, uint4(&both)[2]) {
        both[0] = tiles[(first + (k * kStates + j) * 2) * 32];
        both[1] = tiles[(first + (k * kStates + j) * 2 + 1) * 32];
      };
      float sums[2][4] = {};
#pragma unroll
      for (int k = 0; k < Form::kSteps; ++k) {
        uint4 readout[2];
        load(Tiles::kOut, k, readout);
        multiply_add_all(dy.of[k], readout, sums, 0);
      }
      float(&h)[4] = states[2 * j];
      float(&s)[4] = states[2 * j + 1];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float2 state = state_of(h, r), p = state_of(sums[0], r);
        dc[j] = times_plus(state, p, dc[j]);
        da[j] = times_plus(state_of(s, r), p, times_plus(state, state_of(sums[1], r), da[j]));
      }
      const float2 pole = hops[4 * j];
      hop_slope(s, h, pole, hops[kSumModes + 4 * j]);
      hop(h, pole);
#pragma unroll
      for (int k = 0; k < Form::kSteps; ++k) {
        uint4 in[2];
        load(Tiles::kIn, k, in);
        multiply_add_all(u.of[k], in, states, 2 * j);
      }
    }
  }

  __device__ void write(const Parts& parts, int64_t line_group, int64_t group, int64_t channel) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      // Four lanes beside each other have different modes.
      dc[j] = over_lanes<4, 32>(dc[j]);
      da[j] = over_lanes<4, 32>(da[j]);
      if (threadIdx.x % 32 >= 4) continue;
      const int64_t mode = group * kSumModes + 4 * j + threadIdx.x % 4;
      parts.state(line_group, channel, 0, mode) = dc[j];
      parts.state(line_group, channel, 1, mode) = da[j];
    }
  }

  __device__ void write_ends(const Ends& ends, const Lane& lane, int row, int64_t group) const {
    if (ends.h.absent()) return;
    const int64_t first = group * kSumModes;
    const int64_t count = min(int64_t{kSumModes}, ends.h.extent(2) - first);
    write_states<2>(states, 0, lane, row, ends.h.slice(2, first, count));
    write_states<2>(states, 1, lane, row, ends.s.slice(2, first, count));
  }
};

template <typename Form>
__global__ void __launch_bounds__(Form::kThreads, 1)
    sums_kernel(const __grid_constant__ SumsLaunch<typename Form::Number> launch) {
  using Memory = SumsMemory<Form>;
  constexpr int kTiles = SumTiles<Form>::kCount;
  const Place place = place_of<Form>(launch.lines, launch.groups);
  const Lane lane = Lane::of<Form>(launch.lines, place);
  const int warp_channel = channel_of_warp<Form>();
  uint4* const tiles = shared_memory + warp_channel * kTiles * 32 + threadIdx.x % 32;
  uint32_t* const u_panel = reinterpret_cast<uint32_t*>(shared_memory + Memory::kPanels);
  uint32_t* const dy_panel = u_panel + Panel<Form>::kWords;
  float2* const hops =
      reinterpret_cast<float2*>(shared_memory + Memory::kHops) + warp_channel * 2 * kSumModes;
  if (lines_of_warp<Form>() == 0) {
    const int64_t row = place.group * launch.lines.channels + (lane.there ? lane.channel : 0);
    const uint4* const from = launch.tiles + row * kTiles * 32 + threadIdx.x % 32;
    const int hop_row = threadIdx.x % 32 < kSumModes ? kHop : kHopSlope;
    hops[threadIdx.x % 32] =
        launch.hops[(row * kSumHops + hop_row) * kSumModes + threadIdx.x % kSumModes];
    for (int i = 0; i < kTiles; ++i) tiles[i * 32] = from[i * 32];
  }
  SumStates<Form> states;
  states.load(launch.h, launch.s, place.group, lane);
  PairSums<Form> pairs;
  const bool with_pairs = place.group == 0;
  const int whole[2] = {lane.whole_stages(launch.lines, 0), lane.whole_stages(launch.lines, 1)};
  const auto write_whole = [&](int stage) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (stage != whole[r]) continue;
      const Place again = place_again<Form>(launch.lines, launch.groups);
      states.write_ends(launch.ends, Lane::of<Form>(launch.lines, again), r, again.group);
    }
  };

  typename Memory::Inputs u(launch.u, launch.lines, place, shared_memory + Memory::kU);
  typename Memory::Inputs dy(launch.dy, launch.lines, place, shared_memory + Memory::kDy);
  const int stages = static_cast<int>(launch.lines.cut.steps / kStage);
  for (int stage = 0; stage < stages; ++stage) {
    write_whole(stage);
    u.put(u_panel);
    dy.put(dy_panel);
    u.fetch();
    dy.fetch();
    __syncthreads();
#pragma unroll 1
    for (int c = 0; c < kStage / Form::kChunk; ++c) {
      const int first = first_word<Form>() + word_at<Form>(0, c * Form::kChunk / 8);
      const Chunk<Form> u_chunk(u_panel + first), dy_chunk(dy_panel + first);
      if (with_pairs) pairs.add(dy_chunk, u_chunk);
      states.add(u_chunk, dy_chunk, tiles, hops + threadIdx.x % 4);
    }
    __syncthreads();
  }
  write_whole(stages);
  // All lanes of a warp have the same channel and lines side by side.
  const Place again = place_again<Form>(launch.lines, launch.groups);
  const int64_t line_group = again.first_line / kStep + lines_of_warp<Form>();
  const int64_t channel = again.first_channel + warp_channel;
  if (channel >= launch.lines.channels || line_group >= launch.parts.line_groups) return;
  states.write(launch.parts, line_group, again.group, channel);
  if (again.group == 0) pairs.write(launch.parts, line_group, channel);
}

}  // namespace longwave::ops::lti_cuda
