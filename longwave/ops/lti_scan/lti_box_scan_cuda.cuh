// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_mover_cuda.cuh"

namespace longwave::ops::lti_cuda {

// One channel of two lines.
template <int kModeTiles>
class BoxScan {
  using Memory = BoxScanMemory<kModeTiles>;
  using Tiles = typename Memory::Factors::Tiles;
  static constexpr int kOutputs = Tiles::kOutputs, kTiles = Memory::kTiles;
  static_assert(kOutputs == 2);

 public:
  __device__ BoxScan(const BoxScanLaunch& launch, Memory& memory)
      : launch_(launch), memory_(memory), position_(threadIdx.x % 32 / 8) {
    const LaneOf lane(launch);
    // Places of constants are not kept in registers until they are used.
    unsigned thread = threadIdx.x;
    asm volatile("" : "+r"(thread));
    const unsigned warp = thread / 32, index = thread % 32;
    const int64_t channel = lane.there ? lane.channel : 0;
    const ModeFactors mode = factors_of(launch.system, channel, index);
    const PolePowers powers(mode.pole);
    if (index < Tiles::kModes) {
      double2 positions = powers.last();
#pragma unroll
      for (int i = 1; i < kBoxChunks; i *= 2) positions = times(positions, positions);
      memory.chunk_powers[warp][index / 4][index % 4] = with_square(powers.last());
      memory.position_powers[warp][index / 4][index % 4] = with_square(positions);
    }
    auto& factors = memory.factors(warp);
    uint4 out[kModeTiles][kOutputs];
    const auto take_out = [&] {
#pragma unroll
      for (int k = 0; k < kModeTiles; ++k) {
#pragma unroll
        for (int n = 0; n < kOutputs; ++n) {
          out[k][n] = factors.out_tile(k * kOutputs + n, mode.late);
        }
      }
    };
    factors.template make<1>(
        launch.system, channel, mode, powers, 0, [] { __syncwarp(); }, take_out);
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const uint4 tile = factors.in_tile(j, mode.late);
      in_[j] = right_part(tile, 0);
      memory.in_low[warp][j][index] = right_part(tile, 1);
    }
    // Outputs of steps 8 to 15; the tile has those of steps 0 to 7 as well, which are the same for
    // inputs eight steps earlier.
    memory.straight[warp][index] = factors.straight_tile(1);
    const int chunks = last_steps(launch.lines) / kStep;
    constexpr int kStageChunks = kBoxStage / kStep;
    last_stage_ = chunks / kStageChunks;
    last_chunk_ = chunks % kStageChunks;
    // All factors have been used.
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kModeTiles; ++k) {
      const uint4 &early = out[k][0], &late = out[k][1];
      memory.out[warp][2 * k][index] = make_uint4(early.x, early.y, late.x, late.y);
      memory.out[warp][2 * k + 1][index] = make_uint4(early.z, early.w, late.z, late.w);
    }
    __syncwarp();
  }

  __device__ void run(int stages) {
#pragma unroll 1
    for (int stage = 0; stage < stages; ++stage) {
      gpu::await_turn(memory_.words_full[stage % 2], stage / 2);
      if (stage == last_stage_) {
        scan<Ending::kHere>(stage);
        write_last();
      } else {
        scan<Ending::kElsewhere>(stage);
      }
      gpu::arrive(memory_.outputs_full[stage % 2]);
    }
    if (last_stage_ == stages) write_last();
  }

 private:
  // At the end of sequences.
  __device__ void write_last() {
    const LaneOf lane(launch_);
    if (position_ != 0 || !lane.ends(launch_)) return;
    const int mode = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      if (4 * j + mode >= launch_.last.extent(2)) continue;
      const float2 h = carry(j);
      launch_.last(lane.line.sequence, lane.channel, 4 * j + mode) = {h.x, h.y};
    }
  }

  // Whether sequences end in a stage.
  enum class Ending { kHere, kElsewhere };

  // The channel and the line of a lane.
  struct LaneOf {
    int64_t channel;
    bool there;  // whether the channel is
    Line line;

    __device__ explicit LaneOf(const BoxScanLaunch& launch) {
      const BlockPlace place(launch.lines);
      channel = place.first_channel + threadIdx.x / 32;
      there = channel < launch.lines.channels;
      line = line_of(launch.lines, place.first_line + threadIdx.x / 4 % kBoxLines);
    }
    // Whether the line is there, and the last of its sequence.
    __device__ bool ends(const BoxScanLaunch& launch) const {
      return there && line.length >= 0 && line.segment == launch.lines.cut.segments - 1;
    }
  };

  __device__ static float4 with_square(double2 z) {
    const float2 once = rounded(z), twice = rounded(times(z, z));
    return make_float4(once.x, once.y, twice.x, twice.y);
  }

  __device__ float2& carry(int j) {
    return memory_.carries[threadIdx.x / 32][j][threadIdx.x % (kBoxLines * 4)];
  }

  // Outputs take the place of inputs.
  template <Ending kEnding>
  __device__ void scan(int stage) {
    uint4* const words = &memory_.words[stage % 2][threadIdx.x / 32][threadIdx.x % 32];
    uint32_t u[kBoxTiles][4];
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
      const uint4 piece = words[t * 32];
      u[t][0] = piece.x, u[t][1] = piece.y, u[t][2] = piece.z, u[t][3] = piece.w;
    }
    const bool ends = kEnding == Ending::kHere && LaneOf(launch_).ends(launch_);
    float y[kBoxTiles][kOutputs][4] = {};
    go_straight(u, y);
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      float h[kBoxTiles][4];
      add_inputs(j, u, h);
      hand_on(j, h);
      if constexpr (kEnding == Ending::kHere) keep_last(j, h, ends);
      read_out(j, h, y);
    }
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
      const auto both = [&](int n, int row) {
        return gpu::halves(y[t][n][2 * row], y[t][n][2 * row + 1]);
      };
      words[t * 32] = make_uint4(both(0, 0), both(0, 1), both(1, 0), both(1, 1));
    }
  }

  // y += what inputs add within their chunk.
  __device__ void go_straight(const uint32_t (&u)[kBoxTiles][4],
                              float (&y)[kBoxTiles][kOutputs][4]) const {
    const uint4 w = memory_.straight[threadIdx.x / 32][threadIdx.x % 32];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const uint2 late = right_part(w, part);
#pragma unroll
      for (int t = 0; t < kBoxTiles; ++t) {
        gpu::multiply_add(__nv_bfloat16(), {u[t][0], u[t][1]}, late.y, y[t][0]);
        multiply_add(u[t], late, y[t][1]);
      }
    }
  }

  // What each chunk adds to four modes.
  __device__ void add_inputs(int j, const uint32_t (&u)[kBoxTiles][4],
                             float (&h)[kBoxTiles][4]) const {
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) h[t][i] = 0.0f;
    }
    const uint2 low = memory_.in_low[threadIdx.x / 32][j][threadIdx.x % 32];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
      for (int t = 0; t < kBoxTiles; ++t) multiply_add(u[t], part == 0 ? in_[j] : low, h[t]);
    }
  }

  // Where the lane's line ends within the stage, its state there is the one to be written.
  __device__ void keep_last(int j, const float (&h)[kBoxTiles][4], bool ends) {
    float2 last = state_of(h[0], 0);
#pragma unroll
    for (int c = 1; c < kBoxChunks; ++c) {
      if (last_chunk_ % kBoxChunks >= c) last = state_of(h[c / 2], c % 2);
    }
    __syncwarp();
    if (position_ == last_chunk_ / kBoxChunks && ends) carry(j) = last;
    __syncwarp();
  }

  // y += what states of four modes make.
  __device__ void read_out(int j, const float (&h)[kBoxTiles][4],
                           float (&y)[kBoxTiles][kOutputs][4]) const {
    const uint4 w = memory_.out[threadIdx.x / 32][j][threadIdx.x % 32];
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
      // Rows and columns of an operand change places in those of a sum.
      const uint32_t states[4] = {cut(h[t][0]), cut(h[t][2]), cut(h[t][1]), cut(h[t][3])};
      gpu::multiply_add_tf32(states, {w.x, w.y}, y[t][0]);
      gpu::multiply_add_tf32(states, {w.z, w.w}, y[t][1]);
    }
  }

  // Turns what each of the lane's chunks adds to states into the states before them.
  __device__ void hand_on(int j, float (&h)[kBoxTiles][4]) {
    const int warp = threadIdx.x / 32;
    const float4 chunks = memory_.chunk_powers[warp][j][threadIdx.x % 4];
    const float2 chunk = make_float2(chunks.x, chunks.y);
    const float2 two_chunks = make_float2(chunks.z, chunks.w);
    float2 carried = make_float2(0.0f, 0.0f);
    if (position_ == 0) carried = carry(j);
    float2 sum = carried;
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
      // What two neighbours add takes the place of what the second one does.
      set_state(h[t], 1, times_plus(chunk, state_of(h[t], 0), state_of(h[t], 1)));
      sum = times_plus(two_chunks, sum, state_of(h[t], 1));
    }
    // Those of two positions, then of all before; the first gets the state behind the stage.
    const float4 positions = memory_.position_powers[warp][j][threadIdx.x % 4];
    const float2 one = from(sum, -1);
    sum = times_plus(make_float2(positions.x, positions.y), only_if(position_ != 0, one), sum);
    const float2 two = from(sum, 1), last = from(sum, -1);
    const float2 before =
        times_plus(make_float2(positions.z, positions.w),
                   only_if(position_ == 0 || position_ == kBoxPositions - 1, two), last);
    if (position_ == 0) carry(j) = before;
    float2 state = position_ == 0 ? carried : before;
#pragma unroll
    for (int t = 0; t < kBoxTiles; ++t) {
      const float2 added = state_of(h[t], 0), added_by_two = state_of(h[t], 1);
      set_state(h[t], 0, state);
      set_state(h[t], 1, times_plus(chunk, state, added));
      if (t + 1 < kBoxTiles) state = times_plus(two_chunks, state, added_by_two);
    }
  }

  // What the lane so many positions further has, in a circle.
  __device__ static float2 from(float2 z, int positions) {
    const int source = static_cast<int>(threadIdx.x) + 8 * positions;
    return make_float2(__shfl_sync(0xffffffffu, z.x, source),
                       __shfl_sync(0xffffffffu, z.y, source));
  }
  __device__ static float2 only_if(bool there, float2 z) {
    return make_float2(there ? z.x : 0.0f, there ? z.y : 0.0f);
  }

  const BoxScanLaunch& launch_;
  Memory& memory_;
  int position_;
  int last_stage_, last_chunk_;  // before which states are those at the end of sequences
  uint2 in_[kTiles];             // high halves
};

template <int kModeTiles>
__global__ void __launch_bounds__(kBoxThreads, 1)
    box_scan_kernel(const __grid_constant__ BoxScanLaunch launch) {
  auto& memory = *reinterpret_cast<BoxScanMemory<kModeTiles>*>(shared_memory);
  const auto stages = static_cast<int>((launch.lines.longest() + kBoxStage - 1) / kBoxStage);
  if (threadIdx.x == kBoxWarps * 32) memory.make_barriers();
  // Registers go where constants are.
  static_assert(kBoxWarps * kBoxRegisters + kBoxMovers * kBoxMoverRegisters <=
                (kBoxWarps + kBoxMovers) * gpu::registers_at_begin(kBoxThreads));
  if (threadIdx.x >= kBoxWarps * 32) {
    gpu::give_registers<kBoxMoverRegisters>();
    BoxMover<kModeTiles> mover(launch, memory, stages);
    gpu::meet_at(1, 32 * kBoxMovers);
    mover.run();
  } else {
    gpu::take_registers<kBoxRegisters>();
    BoxScan<kModeTiles>(launch, memory).run(stages);
  }
}

}  // namespace longwave::ops::lti_cuda
