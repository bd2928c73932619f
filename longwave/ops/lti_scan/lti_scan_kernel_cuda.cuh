// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_carry_kernel_cuda.cuh"

namespace longwave::ops::lti_cuda {

template <typename T>
struct ScanLaunch {
  Lines lines;
  Signal<const T> u;
  Signal<T> y;
  bool add;                           // to y
  const uint4* tiles;                 // (channels, ScanTiles::kCount, 32)
  const float2* hops;                 // (channels, kScanHops, ScanTiles::kModes)
  Borders h;                          // the state before each segment
  View<std::complex<float>, 3> last;  // out: (batch, channels, modes) after all whole stages
};

// Constants that outputs are made with, inputs on their way, and panels of two stages.
template <typename Form, int kModeTiles>
struct ScanMemory {
  using Inputs = Reader<Form, 2>;
  using Tiles = ScanTiles<Form, kModeTiles>;
  static constexpr int kTiles = Tiles::kStraight - Tiles::kOut;  // of a channel
  static constexpr int kInputs = Form::kChannels * kTiles * 32;
  static constexpr int kHops = kInputs + Inputs::kPieces;
  static constexpr int kPanel = kHops + Form::kChannels * Tiles::kModes / 2;
  static constexpr int kBytes = kPanel * 16 + 2 * Panel<Form>::kWords * 4;
};

// Writes the states of line `row`, every kEach-th tile from `first` on, to a view (batch, channels,
// modes).
template <int kEach = 1, int kTiles>
__device__ void write_states(const float (&states)[kTiles][4], int first, const Lane& lane, int row,
                             const View<std::complex<float>, 3>& to) {
#pragma unroll
  for (int j = 0; j < kTiles / kEach; ++j) {
    const int mode = 4 * j + threadIdx.x % 4;
    const float(&tile)[4] = states[kEach * j + first];
    const float2 state = row == 0 ? state_of(tile, 0) : state_of(tile, 1);
    if (mode < to.extent(2)) {
      to(lane.lines[row].sequence, lane.channel, mode) = {state.x, state.y};
    }
  }
}

// y += states of 8 modes, read out by tiles of 8 steps each.
template <typename T, int kStates, int kOutputs>
__device__ void read_out(const float (&h)[kStates][4], int first, const uint4 (&readout)[kOutputs],
                         float (&y)[kOutputs][4]) {
  if constexpr (kRoundReadout<T>) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      // Rows and columns of an operand change places in those of a sum.
      uint32_t states[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) states[i] = cut(h[first + j][i % 2 * 2 + i / 2]);
#pragma unroll
      for (int n = 0; n < kOutputs; ++n) {
        const uint4& w = readout[n];
        gpu::multiply_add_tf32(states, {j == 0 ? w.x : w.z, j == 0 ? w.y : w.w}, y[n]);
      }
    }
  } else {
    uint32_t states[2][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float(&from)[4] = h[first + i / 2];
      const gpu::SplitPair pair = gpu::split(from[i % 2 * 2], from[i % 2 * 2 + 1]);
      states[0][i] = pair.high;
      states[1][i] = pair.low;
    }
    multiply_add_all(states, readout, y, 0);
  }
}

// y += what inputs add within their chunk.
template <typename Form, int kOutputs>
__device__ void go_straight(const Chunk<Form>& u, const uint4 (&straight)[kOutputs],
                            float (&y)[kOutputs][4]) {
#pragma unroll
  for (int k = 0; k < Form::kSteps; ++k) {
#pragma unroll
    for (int term = 0; term < kTerms<Form::kParts>; ++term) {
#pragma unroll
      for (int n = 2 * k; n < kOutputs; ++n) {
        multiply_add(u.of[k][left_part(term)], right_part(straight[n - 2 * k], term), y[n]);
      }
    }
  }
}

template <typename Form, int kModeTiles>
__global__ void __launch_bounds__(Form::kThreads, 1)
    scan_kernel(const __grid_constant__ ScanLaunch<typename Form::Number> launch) {
  using Tiles = ScanTiles<Form, kModeTiles>;
  using Memory = ScanMemory<Form, kModeTiles>;
  constexpr int kStates = Tiles::kStates, kOutputs = Tiles::kOutputs;
  const Place place = place_of<Form>(launch.lines, 1);
  const Lane lane = Lane::of<Form>(launch.lines, place);
  const int warp_channel = channel_of_warp<Form>();
  uint4* const out = shared_memory + warp_channel * Memory::kTiles * 32 + threadIdx.x % 32;
  uint32_t* panel = reinterpret_cast<uint32_t*>(shared_memory + Memory::kPanel);
  uint32_t* next_panel = panel + Panel<Form>::kWords;
  const int64_t channel = lane.there ? lane.channel : 0;
  const uint4* const tiles = launch.tiles + channel * Tiles::kCount * 32 + threadIdx.x % 32;
  // Those of a lane's modes in two tiles side by side.
  float4* const hops =
      reinterpret_cast<float4*>(shared_memory + Memory::kHops) + warp_channel * Tiles::kModes / 2;
  if (lines_of_warp<Form>() == 0) {
    for (int i = 0; i < Memory::kTiles; ++i) out[i * 32] = tiles[(Tiles::kOut + i) * 32];
    const int mode = threadIdx.x % 32;
    if (mode < Tiles::kModes) {
      reinterpret_cast<float2*>(hops + mode / 8 * 4 + mode % 4)[mode / 4 % 2] =
          launch.hops[channel * kScanHops * Tiles::kModes + mode];
    }
  }
  uint4 in[Form::kSteps][kStates], straight[kOutputs];
#pragma unroll
  for (int k = 0; k < Form::kSteps; ++k) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) in[k][j] = tiles[(k * kStates + j) * 32];
  }
#pragma unroll
  for (int n = 0; n < kOutputs; ++n) straight[n] = tiles[(Tiles::kStraight + n) * 32];
  float h[kStates][4] = {};
  int whole[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const Line& line = lane.lines[r];
    whole[r] = lane.whole_stages(launch.lines, r);
    if (!lane.there || line.length < 0) continue;
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      const int mode = 4 * j + threadIdx.x % 4;
      set_state(h[j], r, launch.h(0, line.sequence, line.segment, channel, mode));
    }
  }
  const auto write_whole = [&](int stage) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (stage != whole[r]) continue;
      const Place again = place_again<Form>(launch.lines, 1);
      write_states(h, 0, Lane::of<Form>(launch.lines, again), r, launch.last);
    }
  };

  typename Memory::Inputs u(launch.u, launch.lines, place, shared_memory + Memory::kInputs);
  Writer<Form> y(launch.y, launch.lines, place);
  u.put(panel);
  u.fetch();
  __syncthreads();
  const int stages = static_cast<int>(launch.lines.cut.steps / kStage);
  const auto move = [&](int stage) {
    // Outputs of the stage before make room for inputs of the stage after, word by word.
    if (stage > 0) y.take(next_panel, launch.add);
    u.put(next_panel);
    u.fetch();
  };
  for (int stage = 0; stage < stages; ++stage) {
    write_whole(stage);
    if (moves_first()) move(stage);
#pragma unroll 1
    for (int c = 0; c < kStage / Form::kChunk; ++c) {
      uint32_t* const words = panel + first_word<Form>() + word_at<Form>(0, c * Form::kChunk / 8);
      const Chunk<Form> inputs(words);
      float sums[kOutputs][4] = {};
      go_straight<Form>(inputs, straight, sums);
#pragma unroll
      for (int k = 0; k < kModeTiles; ++k) {
        uint4 readout[kOutputs];
#pragma unroll
        for (int n = 0; n < kOutputs; ++n) readout[n] = out[(k * kOutputs + n) * 32];
        read_out<typename Form::Number>(h, 2 * k, readout, sums);
        const float4 poles = hops[4 * k + threadIdx.x % 4];
        hop(h[2 * k], make_float2(poles.x, poles.y));
        hop(h[2 * k + 1], make_float2(poles.z, poles.w));
      }
#pragma unroll
      for (int k = 0; k < Form::kSteps; ++k) multiply_add_all(inputs.of[k], in[k], h, 0);
      write_chunk<Form>(sums, words);
    }
    if (!moves_first()) move(stage);
    __syncthreads();
    swap(panel, next_panel);
  }
  if (stages > 0) y.take(next_panel, launch.add);
  write_whole(stages);
}

template <typename T>
struct TailLaunch {
  ScanSystem system;
  View<const T, 3> u;
  int64_t begin;                      // the first step that is left
  View<std::complex<float>, 3> last;  // in: before that step; out: after all steps
};

// Takes final states through the last steps, fewer than a stage.
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
  for (int64_t t = launch.begin; t < time; ++t) {
    const float u = gpu::widen(launch.u(sequence, t, channel));
    h = times_plus(factors.pole, h, make_float2(gain.x * u, gain.y * u));
  }
  last = {h.x, h.y};
}

}  // namespace longwave::ops::lti_cuda
