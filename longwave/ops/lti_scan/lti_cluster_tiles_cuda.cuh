// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/cluster_cuda.cuh"
#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A cluster sees to 16 channels of 8 lines, a block to 4 of the channels: enough of them to fill a
// chip with few lines, though rows of memory are 32 bytes. Each block loads two lines for all.
inline constexpr int kClusterBlocks = 4;
inline constexpr int kClusterLines = static_cast<int>(kLtiClusterLines);
inline constexpr int kClusterChannels = static_cast<int>(kLtiClusterChannels);
inline constexpr int kBlockChannels = kClusterChannels / kClusterBlocks;
inline constexpr int kOwnLines = kClusterLines / kClusterBlocks;
inline constexpr int kTileSteps = static_cast<int>(kLtiClusterStage);
inline constexpr int kTilePairs = kTileSteps / 2;

// A box of one line: rows of 32 bytes, the two halves of which change places in every other four.
// Time always runs forwards in it.
inline constexpr int kBoxBytes = kTileSteps * kClusterChannels * 2;
inline constexpr int kTileBytes = kClusterLines * kBoxBytes;  // aligned to 256 bytes

__device__ inline int box_byte(int row, int half) { return row * 32 + (half ^ (row / 4 % 2)) * 16; }

// The block's channels of a row, in a tile of all lines.
__device__ inline uint2 block_channels(const std::byte* tile, int line, int row, int rank) {
  const int byte = line * kBoxBytes + box_byte(row, rank / 2) + rank % 2 * 8;
  return *reinterpret_cast<const uint2*>(tile + byte);
}

// The numbers of one channel in two rows as a word; `part` is the channel's place among four.
// kSwapped puts the second row in the lower half.
__device__ inline uint32_t word_of_rows(uint2 first, uint2 second, int part, bool swapped) {
  const uint32_t x = part < 2 ? first.x : first.y, y = part < 2 ? second.x : second.y;
  const uint32_t select = part % 2 == 0 ? (swapped ? 0x1054 : 0x5410) : (swapped ? 0x3276 : 0x7632);
  return __byte_perm(x, y, select);
}

// Where a cluster works: its channels, and lines of which some may not be there.
struct ClusterPlace {
  int first_channel;
  int64_t first_line;

  __device__ static ClusterPlace of(const Lines& lines, int64_t cluster) {
    const int64_t tiles = (lines.channels + kClusterChannels - 1) / kClusterChannels;
    return {static_cast<int>(cluster % tiles) * kClusterChannels, cluster / tiles * kClusterLines};
  }
};

// Boxes of a line from its first stage on. Backwards the last step of a sequence is its first.
struct BoxWalk {
  int channel, first, way, sequence;

  __device__ static BoxWalk of(const Lines& lines, const ClusterPlace& place, int line,
                               bool backwards) {
    const int64_t index = place.first_line + line;
    const bool there = index < lines.count();
    const int sequence = static_cast<int>(there ? index / lines.run : lines.batch);
    const int begin = static_cast<int>(there ? index % lines.run * lines.cut.steps : 0);
    const int time = static_cast<int>(lines.time);
    return {place.first_channel, backwards ? time - begin - kTileSteps : begin,
            backwards ? -kTileSteps : kTileSteps, sequence};
  }
  __device__ gpu::BoxPlace at(uint32_t stage) const {
    return {channel, first + static_cast<int>(stage) * way, sequence};
  }
};

// Tiles of kSignals signals on their way to all blocks of a cluster, through kSlots places of
// kSignals * kTileBytes each. A stage is sent for by one thread of each block, in order; it lands
// in the stage's slot of every block.
template <int kSlots, int kSignals = 1>
struct TileRing {
  static constexpr int kBytes = kSlots * kSignals * kTileBytes;
  gpu::TurnBarrier full[kSlots], empty[kSlots];

  // One thread, before the cluster's first barrier; so many warps of each block read tiles.
  __device__ void make(int readers) {
    for (int i = 0; i < kSlots; ++i) {
      gpu::make_shown_turns(full[i], 1);
      gpu::make_shown_turns(empty[i], kClusterBlocks * readers);
    }
  }

  __device__ static std::byte* tile(std::byte* slots, uint32_t stage, int signal = 0) {
    return slots + (stage % kSlots * kSignals + signal) * kTileBytes;
  }

  // One thread: waits until all blocks have left the slot to its next stage, and says what comes.
  __device__ void open(uint32_t stage) {
    if (stage >= kSlots) {
      gpu::await_turn(empty[stage % kSlots], stage / kSlots - 1);
    }
    gpu::expect_bytes(full[stage % kSlots], kSignals * kTileBytes);
  }
  // The same thread then: this block's lines of a signal.
  __device__ void send(const CUtensorMap& from, const BoxWalk (&walks)[kOwnLines], uint32_t stage,
                       std::byte* slots, int rank, int signal = 0) {
#pragma unroll
    for (int i = 0; i < kOwnLines; ++i) {
      gpu::send_for_box(from, walks[i].at(stage),
                        tile(slots, stage, signal) + (rank * kOwnLines + i) * kBoxBytes,
                        full[stage % kSlots], (1 << kClusterBlocks) - 1);
    }
  }

  // Each thread that reads the tile.
  __device__ void await(uint32_t stage) { gpu::await_turn(full[stage % kSlots], stage / kSlots); }
  // A warp of those that read it, when all its lanes have: tells all blocks.
  __device__ void release(uint32_t stage) {
    __syncwarp();
    if (threadIdx.x % 32 < kClusterBlocks) {
      gpu::arrive_in_block(empty[stage % kSlots], threadIdx.x % 32);
    }
  }
};

}  // namespace longwave::ops::lti_cuda
