// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_words_cuda.cuh"
#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A block runs through two lines of 16 channels, a warp for each channel, 512 steps a stage, and
// more warps move signals.
//
// A lane has the states of every fourth mode in 128 consecutive steps of a line, eight chunks of
// 16: lane 8 p + 4 l + q sees to line l, position p and modes 4 j + q. Rows r and r + 8 of its
// products are neighbouring chunks, so that what inputs add to states is already where it is summed
// up, and the states before chunks are already where outputs are made of them. The four positions
// of a line hand states on by shuffles.

inline constexpr int kBoxPositions = 4;
inline constexpr int kBoxTiles = 4;               // products of 16 chunks
inline constexpr int kBoxChunks = 2 * kBoxTiles;  // of a lane
// A channel's words in 16 bytes: a lane's of each tile. Eight lanes of two channels write to
// different banks.
inline constexpr int kChannelPieces = kBoxTiles * 32 + 4;
inline constexpr int kBoxBytes = kBoxSteps * kBoxRow;
inline constexpr int kStageBoxes = kBoxStage / kBoxSteps;  // of a line
inline constexpr int kMoverBoxes = kBoxLines * kStageBoxes / kBoxMovers;

template <int kModeTiles>
struct BoxScanMemory {
  using Factors = ChannelFactors<ScanForm<__nv_bfloat16>, kModeTiles>;
  static constexpr int kTiles = 2 * kModeTiles;  // of four modes

  // Inputs, in whose place outputs leave.
  alignas(1024) std::byte boxes[kBoxMovers][kMoverBoxes][kBoxBytes];
  uint4 words[2][kBoxChannels][kChannelPieces];
  // What states make of outputs, the low halves of what inputs do of states, and what they do
  // within a chunk.
  uint4 out[kBoxChannels][kTiles][32];
  uint2 in_low[kBoxChannels][kTiles][32];
  uint4 straight[kBoxChannels][32];
  // Powers of a lane's pole: of one chunk and of two side by side, and so of positions.
  float4 chunk_powers[kBoxChannels][kTiles][4], position_powers[kBoxChannels][kTiles][4];
  float2 carries[kBoxChannels][kTiles][kBoxLines * 4];  // states before the next stage
  BoxWalk walks[kBoxMovers];
  // A box is there; words of a stage are, and its outputs in their place.
  gpu::TurnBarrier full[kBoxMovers][kMoverBoxes], words_full[2], outputs_full[2];

  // At first a channel's factors take the place of the second stage's words and of `out`.
  __device__ Factors& factors(int channel) {
    static_assert(kBoxChannels * sizeof(Factors) <= sizeof(words[1]) + sizeof(out));
    return reinterpret_cast<Factors*>(&words[1])[channel];
  }

  // One thread.
  __device__ void make_barriers() {
    for (auto& boxes_full : full) {
      for (auto& box : boxes_full) gpu::make_shown_turns(box, 1);
    }
    for (int i = 0; i < 2; ++i) {
      gpu::make_turns(words_full[i], 32 * kBoxMovers);
      gpu::make_turns(outputs_full[i], 32 * kBoxWarps);
    }
  }
};

// The lines and channels of a block.
struct BlockPlace {
  int64_t first_line, first_channel;

  // Computed anew wherever it is wanted: registers are too few to keep it.
  __device__ explicit BlockPlace(const Lines& lines) {
    unsigned block = blockIdx.x;
    asm volatile("" : "+r"(block));
    // No more than there are blocks.
    const auto tiles = static_cast<unsigned>((lines.channels + kBoxChannels - 1) / kBoxChannels);
    first_line = int64_t{block / tiles} * kBoxLines;
    first_channel = int64_t{block % tiles} * kBoxChannels;
  }
};

// Steps of the last segment of a sequence.
__device__ inline int last_steps(const Lines& lines) {
  return static_cast<int>(lines.time - (lines.cut.segments - 1) * lines.cut.steps);
}

}  // namespace longwave::ops::lti_cuda
