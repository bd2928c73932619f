// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "longwave/ops/cuda/box_copy_cuda.cuh"
#include "longwave/ops/cuda/cluster_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Lines as the 8 columns of products: two signals for a block that sees to 4 channels of 8 lines,
// few enough to fill a chip. Memory moves more channels at once, and so two blocks share 8: each
// brings 4 lines of them, turns rows of channels into rows of steps, keeps its channels and sends
// the other the rest. An H100 runs 66 clusters of two blocks side by side, but only 30 of four.
inline constexpr int kColumnLines = 8, kColumnChannels = 4, kColumnBlocks = 2;
inline constexpr int kColumnRowChannels = kColumnBlocks * kColumnChannels;
inline constexpr int kColumnOwned = kColumnLines / kColumnBlocks;  // lines that a block brings
inline constexpr int kColumnSignals = 2;
inline constexpr int kColumnSteps = static_cast<int>(kLtiColumnStage);  // of a stage
// Warps that compute and warps that bring signals, with registers a thread as they need them.
inline constexpr int kColumnWarps = 8, kColumnBringers = 4;
inline constexpr int kColumnThreads = 32 * kColumnWarps;
inline constexpr int kColumnBlock = kColumnThreads + 32 * kColumnBringers;
inline constexpr int kColumnRegisters = 232, kColumnBringerRegisters = 40;

// Bytes of a channel's steps of a line, and of 8 of them; of a line's box; of a stage in a block;
// and of what a block sends another.
inline constexpr int kColumnRow = kColumnSteps * 2, kColumnPiece = 16;
inline constexpr int kColumnBox = kColumnRow * kColumnRowChannels;
inline constexpr int kColumnBytes = kColumnSignals * kColumnLines * kColumnChannels * kColumnRow;
inline constexpr int kColumnPart = kColumnBytes / kColumnBlocks;

// Stages on their way.
struct ColumnShared {
  static constexpr int kStages = 4;
  // [signal and line]: rows of channels.
  alignas(1024) std::byte boxes[kStages][kColumnSignals * kColumnOwned][kColumnBox];
  // [block][signal][line][channel][step]: pieces change places, see piece_of. What goes to a block,
  // and what came from one.
  alignas(1024) std::byte out[kStages][kColumnBlocks][kColumnPart];
  alignas(1024) std::byte in[kStages][kColumnBlocks][kColumnPart];
  gpu::TurnBarrier loaded[kStages][kColumnBringers], full[kStages], empty[kStages];

  // One thread, before the cluster meets.
  __device__ void make_barriers() {
    for (int i = 0; i < kStages; ++i) {
      for (auto& barrier : loaded[i]) gpu::make_shown_turns(barrier, 1);
      gpu::make_shown_turns(full[i], kColumnBringers);
      gpu::make_shown_turns(empty[i], kColumnWarps * kColumnBlocks);
    }
  }
};

// Where 8 steps of a line and a channel of the cluster lie among the 8 pieces of a row: those of
// all lines, or of all channels, lie in different banks.
__device__ inline int piece_of(int piece, int line, int channel) { return piece ^ line ^ channel; }

// A number that is not to be computed anew where it is used.
__device__ inline int kept_in_register(int number) {
  asm volatile("" : "+r"(number));
  return number;
}

// Both signals for the copy engine.
struct ColumnMaps {
  CUtensorMap signals[kColumnSignals];
};

// The lines and channels of a cluster.
struct ColumnPlace {
  int64_t first_line, first_channel;

  __device__ static ColumnPlace of(const Lines& lines) {
    const int64_t tiles = (lines.channels + kColumnRowChannels - 1) / kColumnRowChannels;
    const int64_t cluster = blockIdx.x / kColumnBlocks;
    return {cluster / tiles * kColumnLines, cluster % tiles * kColumnRowChannels};
  }
};

__device__ inline int column_stages(const Lines& lines) {
  return static_cast<int>((lines.cut.steps + kColumnSteps - 1) / kColumnSteps);
}

// A warp that brings two lines of a signal, whatever the other warps do.
class ColumnBringer {
  static constexpr int kStages = ColumnShared::kStages;
  static constexpr int kRows = kColumnSignals * kColumnOwned / kColumnBringers;
  static_assert(kRows == 2 && kColumnOwned % kRows == 0);

 public:
  __device__ ColumnBringer(const ColumnMaps& maps, const Lines& lines, ColumnShared& shared)
      : maps_(maps),
        shared_(shared),
        stages_(column_stages(lines)),
        rank_(static_cast<int>(gpu::cluster_rank())),
        warp_(threadIdx.x / 32 - kColumnWarps) {
    const ColumnPlace place = ColumnPlace::of(lines);
    const int first_row = warp_ * kRows, lane = threadIdx.x % 32;
    const int first_line = rank_ * kColumnOwned + first_row % kColumnOwned;
    const Line line = line_of(lines, place.first_line + first_line + lane % kRows);
    // Behind the last sequence there are zeros.
    const int64_t sequence = line.length < 0 ? lines.batch : line.sequence;
    place_ = {static_cast<int>(place.first_channel),
              static_cast<int>(line.segment * lines.cut.steps), static_cast<int>(sequence)};
    const int channel = lane / 4, block = channel / kColumnChannels;
    const size_t parts = block == rank_ ? offsetof(ColumnShared, in) : offsetof(ColumnShared, out);
    from_ = kept_in_register(first_row * kColumnBox + lane * kColumnPiece);
#pragma unroll
    for (int k = 0; k < kPieces; ++k) {
      to_[k] =
          kept_in_register(static_cast<int>(parts) + block * kColumnPart +
                           (first_row * kColumnChannels + channel % kColumnChannels) * kColumnRow +
                           piece_of(k, first_line, channel) * kColumnPiece + lane % 4 * 4);
    }
  }

  __device__ void bring_all() {
#pragma unroll 1
    for (int stage = 0; stage < kStages; ++stage) load(stage);
#pragma unroll 1
    for (int round = 0; round * kStages < stages_; ++round) {
#pragma unroll
      for (int slot = 0; slot < kStages; ++slot) {
        if (round * kStages + slot < stages_) bring(round, slot);
      }
    }
  }

 private:
  static constexpr int kPieces = kColumnRow / kColumnPiece;

  // Sends for a stage, a lane for each line.
  __device__ void load(int stage) {
    if (stage >= stages_) return;
    const int slot = stage % kStages, lane = threadIdx.x % 32;
    gpu::TurnBarrier& loaded = shared_.loaded[slot][warp_];
    if (lane == 0) gpu::expect_bytes(loaded, kRows * kColumnBox);
    __syncwarp();
    if (lane >= kRows) return;
    const int row = warp_ * kRows + lane;
    gpu::BoxPlace place = place_;
    place.step += stage * kColumnSteps;
    gpu::send_for_box(maps_.signals[row / kColumnOwned], place, shared_.boxes[slot][row], loaded);
  }

  // Turns rows of channels into rows of steps; keeps some, and sends the others.
  __device__ void bring(int round, int slot) {
    const int lane = threadIdx.x % 32;
    gpu::await_turn(shared_.loaded[slot][warp_], round);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      uint32_t words[2][4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        gpu::load_transposed_matrices(
            &shared_.boxes[slot][row][0] + from_ + half * (kColumnBox / 2), words[half]);
      }
      // Both blocks have left the round before.
      if (row == 0 && round > 0) gpu::await_turn(shared_.empty[slot], round - 1);
#pragma unroll
      for (int k = 0; k < kPieces; ++k) {
        // Pieces of the next line change places in pairs.
        std::byte* const to = reinterpret_cast<std::byte*>(&shared_) +
                              slot * kColumnBlocks * kColumnPart + to_[k ^ row];
        *reinterpret_cast<uint32_t*>(to + row * kColumnChannels * kColumnRow) = words[k / 4][k % 4];
      }
    }
    gpu::show_to_async_proxy();
    __syncwarp();
    if (lane == 0) {
      constexpr int kBytes = kRows * kColumnChannels * kColumnRow;
      const int other = kColumnBlocks - 1 - rank_;
      // What this warp wrote is there, and as much will come.
      gpu::expect_bytes(shared_.full[slot], kBytes);
      gpu::begin_copy_to_block(shared_.in[slot][rank_] + warp_ * kBytes,
                               shared_.out[slot][other] + warp_ * kBytes, kBytes,
                               shared_.full[slot], other);
    }
    load((round + 1) * kStages + slot);
  }

  const ColumnMaps& maps_;
  ColumnShared& shared_;
  int stages_, rank_, warp_;
  gpu::BoxPlace place_;  // where the lane's line begins
  // Where a lane finds its channels of the first line, and leaves two steps of each piece: in the
  // memory of all stages, as it lies in the first.
  int from_, to_[kPieces];
};

// What a warp that computes sees of the signals.
class ColumnSignals {
  static constexpr int kStages = ColumnShared::kStages;

 public:
  __device__ explicit ColumnSignals(ColumnShared& shared)
      : shared_(shared), rank_(static_cast<int>(gpu::cluster_rank())) {}

  __device__ void await(int stage) {
    gpu::await_turn(shared_.full[stage % kStages], stage / kStages);
  }

  // This warp has read what it wants of a stage.
  __device__ void leave(int stage) {
    __syncwarp();
    const int lane = threadIdx.x % 32;
    if (lane < kColumnBlocks) gpu::arrive_in_block(shared_.empty[stage % kStages], lane);
  }

  // Where in a stage lie 8 steps of a channel of this block, in the lane's line for load_matrices.
  __device__ int row(int channel, int piece) const {
    const int line = threadIdx.x % kColumnLines;
    const int row = line % kColumnOwned * kColumnChannels + channel;
    return kept_in_register(line / kColumnOwned * kColumnPart + row * kColumnRow +
                            piece_of(piece, line, rank_ * kColumnChannels + channel) *
                                kColumnPiece);
  }
  // There, and of the steps that many pieces later if `row` is of the first ones.
  __device__ const std::byte* at(int stage, int signal, int row, int pieces) const {
    return &shared_.in[stage % kStages][0][0] + (row ^ (pieces * kColumnPiece)) +
           signal * kColumnOwned * kColumnChannels * kColumnRow;
  }

 private:
  ColumnShared& shared_;
  int rank_;
};

}  // namespace longwave::ops::lti_cuda
