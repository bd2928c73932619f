// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/cluster_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_grad_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_words_cuda.cuh"

namespace longwave::ops::lti_cuda {

// The gradient through boxes. With p[t] = sum_{i >= t} a^(i - t) dy[i] of a mode,
//
//   du[t] = Re sum_modes c p[t] + d dy[t]        sum_t dy[t] h[t] = sum_t u[t] p[t]
//
// so that dy is read once for both. Of each chunk of a line products of constants give, of all
// modes, sum_i a^i dy[i] and sum_n a^n u[31 - n], and the same with weights i / 32 and n / 32. From
// chunk to chunk a lane has p before a boundary and slope = (a / 32) dp/da:
//
//   slope' = a^32 (slope + p) + sum_i (i / 32) a^i dy[i]      p' = a^32 p + sum_i a^i dy[i]
//
// and adds up near = p sum_n a^n u[31 - n] and far = slope sum_n a^n u[31 - n] +
// p sum_n (n / 32) a^n u[31 - n]. Over all boundaries these are parts of
//
//   sum_t dy[t] h[t] = a near + sum_lags         sum_t dy[t] dh[t]/da = near + 32 far + sum_lags
//
// where the lags within chunks are products of dy and u alone. An initial state is like a chunk
// whose sum it is.
//
// A column of products is a chunk: chunks 2 t and 2 t + 1 of line l are columns 8 t + 2 l and one
// further, so that lane 4 g + l has mode g of its warp in all chunks of line l. In words u and du
// run backwards within chunks.

// Pieces of words: 8 steps of 8 columns, 16 bytes a column.
inline constexpr int kGradPiece = 128;
inline constexpr int kGradPieces = kGradChunk / 8;             // of a chunk
inline constexpr int kGradColumns = kGradLines * kGradChunks;  // of a stage
inline constexpr int kGradTiles = kGradColumns / 8;            // of 8 columns
inline constexpr int kGradSignal = kGradTiles * kGradPiece;    // bytes of 8 steps
// Bytes to the next 8 steps, and to the next channel: halves of pieces of two channels lie in
// different banks.
inline constexpr int kGradAlong = 2 * kGradSignal;
inline constexpr int kGradWords = kGradPieces * kGradAlong + 64;
inline constexpr int kGradModes = static_cast<int>(kLtiScanCudaModes);
inline constexpr int kGradStates = 2 * kGradModes / 8;            // tiles of 8 numbers
inline constexpr int kGradPowers = 2 * kGradPieces * kGradPiece;  // bytes of such a tile
inline constexpr int kGradBoxBytes = kGradBox * kBoxRow;
inline constexpr int kGradResponses = 2 * kGradChunk;

struct BoxGradMemory {
  // Inputs that arrived, u before dy, of the block's channels.
  alignas(1024) std::byte boxes[2][kGradBoxes][kGradLines][kGradBox][kGradChannels * 2];
  // Outputs of the block's lines, at output_byte and then, where they leave, as in boxes.
  alignas(1024) std::byte outputs[2][kGradOwnLines][kGradBoxes][kGradBoxBytes];
  // Powers 0 to 31 of the poles of the block's channels: real parts of 8 modes, then imaginary
  // parts, by tiles of 8 modes and 8 powers, in two parts.
  alignas(128) std::byte powers[kGradChannels][kGradStates][kGradPieces][2][kGradPiece];
  // Behind chunks, of a group's channel and of the one before.
  alignas(128) std::byte states[kGradGroups][2][kGradStates][kGradTiles][kGradPiece];
  // Inputs of two stages; of every 8 steps u before dy.
  alignas(16) std::byte words[2][kGradChannels][kGradWords];
  // a^32 and c a.
  float4 hops[kGradChannels][kGradModes];
  // Pairs of neighbours of what dy gives du so many steps before, from lag -31 on.
  uint2 responses[kGradChannels][kGradResponses];
  gpu::TurnBarrier full[2][kGradBoxes], words_full[2], outputs_full[2], outputs_left[2];

  // One thread, before the block and the cluster meet.
  __device__ void make_barriers() {
    for (int i = 0; i < 2; ++i) {
      gpu::make_turns(words_full[i], 32 * kGradMovers);
      // Who reads words, and who expects what the other block sends.
      gpu::make_shown_turns(outputs_full[i], 32 * (kGradWarps + kGradLagWarps) + 1);
      gpu::make_shown_turns(outputs_left[i], kGradOwnLines * kGradBlocks);
    }
  }
};

// The lines and channels of a cluster.
struct BoxGradPlace {
  int64_t first_line, first_channel;

  __device__ explicit BoxGradPlace(const Lines& lines) {
    const int64_t tiles = (lines.channels + kBoxChannels - 1) / kBoxChannels;
    const int64_t cluster = blockIdx.x / kGradBlocks;
    first_line = cluster / tiles * kGradLines;
    first_channel = cluster % tiles * kBoxChannels;
  }
  // One of this block's channels.
  __device__ int64_t channel(int own) const {
    return first_channel + int64_t{gpu::cluster_rank()} * kGradChannels + own;
  }
};

__device__ inline int grad_stages(const Lines& lines) {
  return static_cast<int>((lines.time + kGradStage - 1) / kGradStage);
}

// A warp that marches: its group, its place there, and the lane's mode.
__device__ inline int grad_group() { return gpu::part_of_block(gpu::kWarpgroup); }
__device__ inline int grad_warp() { return threadIdx.x / 32 % 4; }
__device__ inline int lane_mode() { return 8 * grad_warp() + threadIdx.x % 32 / 4; }

// The matrix whose row the lane gives a place of, and that place in a piece.
__device__ inline int lane_matrix() { return threadIdx.x % 32 / 8; }
template <typename Piece>
__device__ auto* row_of(Piece& piece) {
  return &piece[threadIdx.x % 8 * 16];
}

// Barriers of all warps that march, of those of a group, and of those that write a line.
inline constexpr int kGradMeeting = 1, kGradGroupMeeting = 2;
inline constexpr int kGradLineMeeting = kGradGroupMeeting + kGradGroups;

// Where in a line's outputs those of a pair of channels lie, by steps from the last of a chunk on
// and halves of the chunks: of a step and a pair there are 8 chunks. Two steps of two lines, and
// eight steps of one, lie in different banks.
__device__ inline int output_byte(int line, int pair, int step, int half) {
  return pair * (kGradStage * 4) + (step ^ 2 * line) * (kGradChunks * 4) +
         (half ^ (step / 4 % 2)) * 16;
}

}  // namespace longwave::ops::lti_cuda
