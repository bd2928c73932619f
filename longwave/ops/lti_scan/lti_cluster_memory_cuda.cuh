// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_cluster_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_cluster_tiles_cuda.cuh"

namespace longwave::ops::lti_cuda {

inline constexpr int kGroupThreads = 128;
inline constexpr int kHalves = 2;  // warps that share a channel
inline constexpr int kClusterThreads = (kHalves + 2) * kGroupThreads;

// Words of a channel for a product of 16 steps, as it wants them: a lane's four side by side, of
// its line in both chunks.
inline constexpr int kStepPieces = 32;  // of 16 bytes
inline constexpr int kWordPieces = kBlockChannels * 2 * kStepPieces;
// Those of a channel's outputs for the lines of a block.
inline constexpr int kChannelPieces = 2 * kOwnLines * 4;

// What the warps of a block leave to each other, in places that take turns.
template <int kModeTiles>
struct ClusterScanMemory {
  static constexpr int kTileSlots = 8, kWordSlots = 8, kOutputSlots = 8, kBoxSlots = 2;

  std::byte tiles[kTileSlots * kTileBytes];
  std::byte boxes[kBoxSlots][kOwnLines][kBoxBytes];
  uint4 words[kWordSlots][kWordPieces];
  float4 shares[2][kBlockChannels][kHalves][2][32];
  uint4 outputs[kOutputSlots][kClusterChannels][kChannelPieces];
  float4 hops[kBlockChannels][kModeTiles * 4];
  TileRing<kTileSlots> ring;
  gpu::TurnBarrier words_full[kWordSlots], words_empty[kWordSlots];
  gpu::TurnBarrier outputs_full[kOutputSlots], outputs_empty[kOutputSlots];

  // One thread.
  __device__ void make() {
    constexpr int kWarps = kGroupThreads / 32;
    ring.make(kWarps);
    for (int i = 0; i < kWordSlots; ++i) {
      gpu::make_shown_turns(words_full[i], kWarps);
      gpu::make_shown_turns(words_empty[i], kHalves * kWarps);
    }
    for (int i = 0; i < kOutputSlots; ++i) {
      gpu::make_shown_turns(outputs_full[i], 1);
      gpu::make_shown_turns(outputs_empty[i], kClusterBlocks);
    }
    for (int i = 0; i < kOutputSlots; ++i) {
      gpu::expect_bytes(outputs_full[i], sizeof(outputs[i]));
    }
  }
};

// Waits until the use before stage's of a place among kSlots is over.
template <int kSlots>
__device__ void await_place(gpu::TurnBarrier (&empty)[kSlots], uint32_t stage) {
  if (stage >= kSlots) gpu::await_turn(empty[stage % kSlots], stage / kSlots - 1);
}

// Waits for the threads that share a barrier.
template <int kThreads>
__device__ void synchronize_threads(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(kThreads) : "memory");
}

// What a cluster works on.
struct ClusterWork {
  const ClusterPart& part;
  ClusterPlace place;

  __device__ static ClusterWork of(const ClusterScanLaunch& launch, int64_t cluster) {
    const int64_t before = launch.parts[0].clusters();
    const bool rest = cluster >= before;
    const ClusterPart& part = launch.parts[rest ? 1 : 0];
    return {part, ClusterPlace::of(part.lines, cluster - (rest ? before : 0))};
  }
  __device__ static ClusterWork of(const ClusterScanLaunch& launch) {
    return of(launch, blockIdx.x / kClusterBlocks);
  }

  // The block's own lines.
  __device__ void walk(bool backwards, int rank, BoxWalk (&walks)[kOwnLines]) const {
#pragma unroll
    for (int i = 0; i < kOwnLines; ++i) {
      walks[i] = BoxWalk::of(part.lines, place, rank * kOwnLines + i, backwards);
      walks[i].channel += static_cast<int>(part.first_channel);
    }
  }
};

}  // namespace longwave::ops::lti_cuda
