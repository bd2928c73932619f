// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "longwave/ops/cuda/turn_barrier_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"

namespace longwave::ops {
namespace selective_cuda {

/// A tile of steps in shared memory, prepared for the warps that scan it.
template <int kSteps, int kWidth, int kPadded>
struct alignas(16) PreparedTile {
  float inputs[2][kSteps][kPadded];  // B, C
  float2 steps[kSteps][kWidth];      // s, s u
  uint8_t starts[kSteps];            // whether a sequence starts at a step
};

/// One in which outputs take the place of step sizes: two parts each, of every other lane of a
/// channel.
template <int kSteps, int kWidth, int kPadded>
struct SharedTile : PreparedTile<kSteps, kWidth, kPadded> {
  __device__ float& part(int t, int c, int which) {
    return reinterpret_cast<float*>(&this->steps[t][c])[which];
  }
  __device__ float2 two_outputs(int t, int c) const {
    const float4 parts = *reinterpret_cast<const float4*>(&this->steps[t][c]);
    return make_float2(parts.x + parts.y, parts.z + parts.w);
  }
};

/// One in which the lanes of a channel leave what each has found of the outputs.
template <int kSteps, int kWidth, int kPadded, int kLanes>
struct ApartTile : PreparedTile<kSteps, kWidth, kPadded> {
  bool starts_anew;  // whether a sequence starts in the tile
  alignas(16) float parts[kSteps][kWidth * kLanes];

  /// Where the part of a lane is in a step's. Four lie together, and fours so that eight threads
  /// with two channels each meet different banks.
  __device__ static int place(int channel, int lane) {
    const int index = channel * kLanes + lane, four = index / 4;
    return (four ^ (four / 8 % (kLanes / 2))) * 4 + index % 4;
  }
  __device__ float2 two_outputs(int t, int c) const {
    return make_float2(sum(t, c), sum(t, c + 1));
  }

 private:
  __device__ float sum(int t, int c) const {
    static_assert(kLanes % 4 == 0);
    float sum = 0.0f;
#pragma unroll
    for (int lane = 0; lane < kLanes; lane += 4) {
      const float4 four = *reinterpret_cast<const float4*>(&parts[t][place(c, lane)]);
      const float part = (four.x + four.y) + (four.z + four.w);
      sum = lane == 0 ? part : sum + part;
    }
    return sum;
  }
};

/// How a block's shared memory is laid out.
template <typename T, int kStates, int kLanes, int kChannels, SelectiveWork kWork>
struct Layout {
  static constexpr bool kApart = kWork == SelectiveWork::kApart;
  static constexpr int kPadded = kStates * kLanes;                         // states with padding
  static constexpr int kWidth = kSelectiveThreads / kLanes * kChannels;    // channels of a block
  static constexpr int kWarpWidth = kWidth / (kSelectiveThreads / 32);     // and of a warp
  static constexpr int kStepBytes = 6 * kWidth * sizeof(T) + 8 * kWidth +  // u, dt, z; steps
                                    (4 * sizeof(T) + 8) * kPadded + 4;     // B, C; starts
  static constexpr int kMostBytes = 100000;
  static constexpr int fitting(int steps) {
    return steps * kStepBytes <= kMostBytes ? steps : fitting(steps / 2);
  }
  static constexpr int kSteps = kApart ? 32 : fitting(32);  // steps of a tile
  static_assert(kSteps >= 4);
  // Of a multiprocessor: threads with few states leave room for the registers of four.
  static constexpr int kBlocks = kStates * kChannels <= 8 ? 4 : 1;
  // Tiles that are prepared, that are on their way, and whose operands are there.
  static constexpr int kSlots = kApart ? 4 : 1, kAhead = kApart ? 2 : 1;
  static constexpr int kStages = kSlots + kAhead;
  using Slot = std::conditional_t<kApart, ApartTile<kSteps, kWidth, kPadded, kLanes>,
                                  SharedTile<kSteps, kWidth, kPadded>>;

  T raw[kStages][3][kSteps][kWidth];          // u, dt, z
  T raw_inputs[kStages][2][kSteps][kPadded];  // B, C
  Slot slots[kSlots];
  float bias[kWidth], skip[kWidth];
  // Of warps that work apart: the tile in a slot is prepared, scanned, finished.
  gpu::TurnBarrier turns[kApart ? 3 : 1][kSlots];
};

}  // namespace selective_cuda
}  // namespace longwave::ops
