// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/tile_copies_cuda.cuh"
#include "longwave/ops/cuda/turn_barrier_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

/// The decays of a chunk as a warpgroup wants them.
struct WarpgroupDecays : ChunkDecays<kWarpgroupSteps> {
  // Sums less log2 of the step size: 2^(sums[t] - from[s]) weighs step s at t.
  float from[kWarpgroupSteps];
};

/// Chunks whose decays are found at once, one a warp, and room for those in use and the next.
inline constexpr int kDecaysAtOnce = 4, kDecaySlots = 2 * kDecaysAtOnce;

/// Shared memory of a block: tiles of B, of C, of x in two stages, and of weights; decays;
/// barriers.
template <int kStates, SsdMarch kMarch, int kBlocks>
struct WarpgroupLayout {
  static constexpr bool kOutputs = kMarch == SsdMarch::kOutputs;
  static constexpr int kParts = kStates / 64;  // tiles that hold the rows of a chunk
  // Of three blocks each has room for rows of one chunk only.
  static constexpr int kStages = kOutputs && kBlocks > 2 ? 1 : 2;
  static constexpr int kRows = kStages * kParts * gpu::kTileBytes;
  static constexpr int kReads = kRows;
  static constexpr int kSignals = kReads + (kOutputs ? kRows : 0);
  static constexpr int kWeights = kSignals + 2 * gpu::kTileBytes;
  static constexpr int kDecays = kWeights + (kOutputs ? gpu::kTileBytes : 0);
  static constexpr int kArrivals = 6;
  static constexpr int kBarriers =
      kDecays + kDecaySlots * static_cast<int>(sizeof(WarpgroupDecays));
  // The first tile begins at a multiple of 1024.
  static constexpr int kBytes =
      1024 + kBarriers + kArrivals * static_cast<int>(sizeof(gpu::TurnBarrier));
};

/// Where a block of warpgroups works.
struct WarpgroupPlace {
  int b, segment, column, head;
};

template <SsdMarch kMarch, typename T>
__device__ WarpgroupPlace warpgroup_place(const SsdMarchLaunch<T>& launch) {
  int64_t index = blockIdx.x;
  const int64_t heads = launch.in.x.extent(2), head = index % heads;
  index /= heads;
  const int64_t across = (launch.in.x.extent(3) + kSsdColumns - 1) / kSsdColumns;
  const int64_t column = index % across * kSsdColumns;
  index /= across;
  // The pass for ends leaves out the segment that nothing follows.
  const int64_t segments = launch.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
  return {static_cast<int>(index / segments), static_cast<int>(index % segments),
          static_cast<int>(column), static_cast<int>(head)};
}

/// The tiles of a block, of chunk i of its segment of time, and what comes there.
template <typename T, int kStates, SsdMarch kMarch, int kBlocks>
class WarpgroupTiles {
 public:
  using Layout = WarpgroupLayout<kStates, kMarch, kBlocks>;
  static constexpr int kParts = Layout::kParts, kStages = Layout::kStages;

  /// `signals` and `rows` are where the tiles of the segment's first chunk lie in the operands.
  __device__ WarpgroupTiles(const SsdWarpgroupLaunch<T>& from, const gpu::TilePlace& signals,
                            const gpu::TilePlace& rows, unsigned char* shared)
      : from_(from), signals_(signals), rows_(rows), shared_(shared) {}

  __device__ unsigned char* rows(int i, int part) const {
    return shared_ + (i % kStages * kParts + part) * gpu::kTileBytes;
  }
  __device__ unsigned char* reads(int i, int part) const {
    return shared_ + Layout::kReads + (i % kStages * kParts + part) * gpu::kTileBytes;
  }
  __device__ unsigned char* signals(int i) const {
    return shared_ + Layout::kSignals + i % 2 * gpu::kTileBytes;
  }
  __device__ unsigned char* weights() const { return shared_ + Layout::kWeights; }
  __device__ WarpgroupDecays& decays(int i) const {
    return reinterpret_cast<WarpgroupDecays*>(shared_ + Layout::kDecays)[i % kDecaySlots];
  }

  /// Makes what the block waits at; for one thread.
  __device__ void open() const {
    for (int i = 0; i < Layout::kArrivals; ++i) gpu::make_shown_turns(arrivals()[i], 1);
  }

  // Sends for what a chunk reads; for one thread, when all are done with what was there.
  __device__ void send_for_signals(int i) const {
    gpu::expect_bytes(arrival_of_signals(i), gpu::kTileBytes);
    gpu::send_for_tile(from_.signals, place(signals_, 0, i), signals(i), arrival_of_signals(i));
  }
  __device__ void send_for_rows(int i) const {
    gpu::expect_bytes(arrival_of_rows(i), kParts * gpu::kTileBytes);
    for (int part = 0; part < kParts; ++part) {
      gpu::send_for_tile(from_.rows, place(rows_, part, i), rows(i, part), arrival_of_rows(i));
    }
  }
  __device__ void send_for_reads(int i) const {
    gpu::expect_bytes(arrival_of_reads(i), kParts * gpu::kTileBytes);
    for (int part = 0; part < kParts; ++part) {
      gpu::send_for_tile(from_.reads, place(rows_, part, i), reads(i, part), arrival_of_reads(i));
    }
  }

  __device__ void await_signals(int i) const { gpu::await_turn(arrival_of_signals(i), i / 2); }
  __device__ void await_rows(int i) const { gpu::await_turn(arrival_of_rows(i), i / kStages); }
  __device__ void await_reads(int i) const { gpu::await_turn(arrival_of_reads(i), i / kStages); }

 private:
  __device__ static gpu::TilePlace place(gpu::TilePlace first, int part, int i) {
    first.column += part * 64;
    first.step += i * kWarpgroupSteps;
    return first;
  }
  __device__ gpu::TurnBarrier* arrivals() const {
    return reinterpret_cast<gpu::TurnBarrier*>(shared_ + Layout::kBarriers);
  }
  __device__ gpu::TurnBarrier& arrival_of_signals(int i) const { return arrivals()[i % 2]; }
  __device__ gpu::TurnBarrier& arrival_of_rows(int i) const { return arrivals()[2 + i % kStages]; }
  __device__ gpu::TurnBarrier& arrival_of_reads(int i) const { return arrivals()[4 + i % kStages]; }

  const SsdWarpgroupLaunch<T>& from_;
  gpu::TilePlace signals_, rows_;
  unsigned char* shared_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
