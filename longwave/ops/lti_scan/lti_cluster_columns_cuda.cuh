// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_cluster_memory_cuda.cuh"
#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// The two warps of a channel wait for each other: they do so at different schedulers.
__device__ inline int channel_of_column_warp() {
  return (threadIdx.x / 32 + threadIdx.x / kGroupThreads) % kBlockChannels;
}

// The channel and the line of a lane that multiplies.
struct ColumnLane {
  int channel;
  bool there;  // whether the channel is
  Line line;

  __device__ static ColumnLane of(const ClusterWork& work) {
    const int rank = static_cast<int>(gpu::cluster_rank());
    const int channel = work.place.first_channel + rank * kBlockChannels + channel_of_column_warp();
    return {channel, channel < work.part.lines.channels,
            line_of(work.part.lines, work.place.first_line + threadIdx.x % 32 / 4)};
  }

  // Whether the line is the last of its sequence.
  __device__ bool ends(const Lines& lines) const {
    return there && line.length >= 0 && line.segment == lines.cut.segments - 1;
  }
};

// The stage before which states are those at the end of sequences, up to less than a stage.
__device__ inline uint32_t whole_stages(const Lines& lines) {
  return static_cast<uint32_t>((lines.time - (lines.cut.segments - 1) * lines.cut.steps) /
                               kTileSteps);
}

// One channel of eight lines: two warps, each with half of its modes. What a warp finds of outputs
// in the other's chunk of a stage it passes on.
template <int kModeTiles, int kHalf>
class ColumnScan {
  using Tiles = ScanTiles<ClusterForm, kModeTiles>;
  using Memory = ClusterScanMemory<kModeTiles>;
  static constexpr int kOutputs = Tiles::kOutputs;
  static constexpr int kGroups = kModeTiles / kHalves;  // of eight modes
  static constexpr int kStates = 2 * kGroups;

 public:
  __device__ ColumnScan(const ClusterScanLaunch& launch, Memory& memory)
      : launch_(launch), memory_(memory) {
    const ClusterWork work = ClusterWork::of(launch);
    const ClusterPart& part = work.part;
    const ColumnLane lane = ColumnLane::of(work);
    const int64_t channel = lane.there ? lane.channel : 0;
    const uint4* const tiles = part.tiles + channel * Tiles::kCount * 32 + threadIdx.x % 32;
    warp_ = channel_of_column_warp();
#pragma unroll
    for (int k = 0; k < 2; ++k) {
#pragma unroll
      for (int j = 0; j < kStates; ++j) {
        in_[k][j] = tiles[(k * Tiles::kStates + kHalf * kStates + j) * 32];
      }
    }
#pragma unroll
    for (int j = 0; j < kGroups; ++j) {
#pragma unroll
      for (int n = 0; n < kOutputs; ++n) {
        out_[j][n] = tiles[(Tiles::kOut + (kHalf * kGroups + j) * kOutputs + n) * 32];
      }
    }
#pragma unroll
    for (int n = 0; n < kOutputs; ++n) {
      straight_[n] = right_part(tiles[(Tiles::kStraight + n) * 32], kHalf);
    }
    // Those of a lane's modes in two tiles side by side.
    const int mode = kHalf * 8 * kGroups + threadIdx.x % 32;
    if (threadIdx.x % 32 < 8 * kGroups) {
      reinterpret_cast<float2*>(&memory.hops[warp_][mode / 8 * 4 + mode % 4])[mode / 4 % 2] =
          part.hops[channel * kScanHops * Tiles::kModes + mode];
    }
    __syncwarp();
    whole_ = whole_stages(part.lines);
    read_first(part, lane);
    // Outputs of the lane's line go to the block that owns it.
    const int rank = static_cast<int>(gpu::cluster_rank()), line = threadIdx.x % 32 / 4;
    const int piece = (kHalf * kOwnLines + line % kOwnLines) * 4 + threadIdx.x % 4;
    outputs_ = gpu::address_in_block(&memory.outputs[0][rank * kBlockChannels + warp_][piece],
                                     line / kOwnLines);
    outputs_full_ = gpu::address_in_block(memory.outputs_full, line / kOwnLines);
  }

  __device__ void run(uint32_t stages) {
    if (stages > 0) {
      load(0, u_);
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
#pragma unroll
        for (int term = 0; term < 4; ++term) add_inputs(group, term);
      }
    }
    // Up to the stage that sequences end in, and behind it.
    const uint32_t whole = min(whole_, stages);
    run(0, whole, stages);
    write_last();
    run(whole, stages, stages);
    if (stages > 0) {
      float4 left[2];
      collect(stages - 1, left);
      send(stages - 1, outputs_with(left));
    }
  }

 private:
  __device__ void run(uint32_t begin, uint32_t end, uint32_t stages) {
#pragma unroll 1
    for (uint32_t stage = begin; stage < end; ++stage) {
      float4 left[2] = {};
      if (stage > 0) collect(stage - 1, left);
      float y[kOutputs][4] = {};
      // The next stage's inputs are on their way to registers.
      uint32_t next[2][4] = {};
      if (stage + 1 < stages) load(stage + 1, next);
      go_straight(y);
#pragma unroll
      for (int i = 0; i < 8; ++i) u_[i / 4][i % 4] = next[i / 4][i % 4];
      const uint4 before = outputs_with(left);
      uint32_t states[kGroups][2][4];
#pragma unroll
      for (int group = 0; group < kGroups; ++group) step(group, states[group]);
#pragma unroll
      for (int term = 0; term < 4; ++term) {
#pragma unroll
        for (int group = 0; group < kGroups; ++group) {
#pragma unroll
          for (int n = 0; n < 2; ++n) read_out(group, term / 2, term % 2 * 2 + n, states[group], y);
          add_inputs(group, term);
        }
      }
      if (stage > 0) send(stage - 1, before);
      pass_on(stage, y);
    }
  }

  __device__ void read_first(const ClusterPart& part, const ColumnLane& lane) {
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      const int mode = 4 * (kHalf * kStates + j) + threadIdx.x % 4;
      h_[j] = make_float2(0.0f, 0.0f);
      if (!lane.there || lane.line.length < 0) continue;
      if (part.h.states != nullptr) {
        h_[j] = part.h(0, lane.line.sequence, lane.line.segment * part.finer, lane.channel, mode);
      } else if (!part.first.absent() && mode < part.first.extent(2)) {
        h_[j] = number(part.first(lane.line.sequence, lane.channel, mode));
      }
    }
  }

  __device__ void write_last() const {
    // Computed anew: registers are too few to keep it through the loop.
    int64_t cluster = blockIdx.x / kClusterBlocks;
    int first = threadIdx.x % 4;
    asm volatile("" : "+l"(cluster), "+r"(first));
    const ClusterWork work = ClusterWork::of(launch_, cluster);
    const ColumnLane lane = ColumnLane::of(work);
    if (!lane.ends(work.part.lines)) return;
#pragma unroll
    for (int j = 0; j < kStates; ++j) {
      const int mode = 4 * (kHalf * kStates + j) + first;
      if (mode < work.part.last.extent(2)) {
        work.part.last(lane.line.sequence, lane.channel, mode) = {h_[j].x, h_[j].y};
      }
    }
  }

  // A stage's inputs as left factors of two products of 16 steps.
  __device__ void load(uint32_t stage, uint32_t (&u)[2][4]) {
    const uint32_t slot = stage % Memory::kWordSlots;
    gpu::await_turn(memory_.words_full[slot], stage / Memory::kWordSlots);
    const uint4* const pieces = memory_.words[slot] + warp_ * 2 * kStepPieces + threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const uint4 piece = pieces[k * kStepPieces];
      u[k][0] = piece.x, u[k][1] = piece.y, u[k][2] = piece.z, u[k][3] = piece.w;
    }
    gpu::arrive_as_warp(memory_.words_empty[slot]);
  }

  // What inputs add to the states of eight modes, one of four terms.
  __device__ void add_inputs(int group, int term) {
    const int k = term % 2;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float(&added)[4] = added_[group][i];
      if (term == 0) added[0] = added[1] = added[2] = added[3] = 0.0f;
      multiply_add(u_[k], right_part(in_[k][2 * group + i], term / 2), added);
    }
  }

  // Takes states of eight modes through the stage; those before its two chunks as left factors.
  __device__ void step(int group, uint32_t (&states)[2][4]) {
    const float4 poles = memory_.hops[warp_][4 * (kHalf * kGroups + group) + threadIdx.x % 4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float2 pole = i == 0 ? make_float2(poles.x, poles.y) : make_float2(poles.z, poles.w);
      const float(&added)[4] = added_[group][i];
      float2& h = h_[2 * group + i];
      const float2 next = times_plus(pole, h, state_of(added, 0));
      states[i][0] = cut(h.x), states[i][1] = cut(next.x);
      states[i][2] = cut(h.y), states[i][3] = cut(next.y);
      h = times_plus(pole, next, state_of(added, 1));
    }
  }

  // y += four modes' states in eight steps.
  __device__ void read_out(int group, int i, int n, const uint32_t (&states)[2][4],
                           float (&y)[kOutputs][4]) const {
    const uint4& w = out_[group][n];
    gpu::multiply_add_tf32(states[i], {i == 0 ? w.x : w.z, i == 0 ? w.y : w.w}, y[n]);
  }

  // y += what inputs add within their chunk: one warp by high parts of constants, one by low ones.
  __device__ void go_straight(float (&y)[kOutputs][4]) const {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
#pragma unroll
      for (int n = 2 * k; n < kOutputs; ++n) multiply_add(u_[k], straight_[n - 2 * k], y[n]);
    }
  }

  // Keeps one chunk's outputs and leaves those of the other.
  __device__ void pass_on(uint32_t stage, const float (&y)[kOutputs][4]) {
    float left[kOutputs][2];
#pragma unroll
    for (int n = 0; n < kOutputs; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        kept_[n][i] = y[n][2 * kHalf + i];
        left[n][i] = y[n][2 * (1 - kHalf) + i];
      }
    }
    auto& share = memory_.shares[stage % 2][warp_][kHalf];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      share[i][threadIdx.x % 32] =
          make_float4(left[2 * i][0], left[2 * i][1], left[2 * i + 1][0], left[2 * i + 1][1]);
    }
  }

  // What the other warp left.
  __device__ void collect(uint32_t stage, float4 (&left)[2]) const {
    synchronize_threads<kHalves * 32>(2 + warp_);
    const auto& share = memory_.shares[stage % 2][warp_][1 - kHalf];
#pragma unroll
    for (int i = 0; i < 2; ++i) left[i] = share[i][threadIdx.x % 32];
  }

  // That and what this one kept.
  __device__ uint4 outputs_with(const float4 (&left)[2]) const {
    const auto sum = [&](int n, float first, float second) {
      return gpu::halves(kept_[n][0] + first, kept_[n][1] + second);
    };
    return make_uint4(sum(0, left[0].x, left[0].y), sum(1, left[0].z, left[0].w),
                      sum(2, left[1].x, left[1].y), sum(3, left[1].z, left[1].w));
  }

  __device__ void send(uint32_t stage, const uint4& words) {
    const uint32_t slot = stage % Memory::kOutputSlots;
    await_place(memory_.outputs_empty, stage);
    gpu::send_16_bytes(outputs_ + slot * sizeof(memory_.outputs[0]), words,
                       outputs_full_ + slot * sizeof(gpu::TurnBarrier));
  }

  const ClusterScanLaunch& launch_;
  Memory& memory_;
  uint32_t whole_;
  int warp_;
  uint32_t outputs_, outputs_full_;
  uint4 in_[2][kStates], out_[kGroups][kOutputs];
  uint2 straight_[kOutputs];
  float2 h_[kStates];
  uint32_t u_[2][4];
  float added_[kGroups][2][4], kept_[kOutputs][2] = {};
};

}  // namespace longwave::ops::lti_cuda
