// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/tile_copies_cuda.cuh"
#include "longwave/ops/cuda/turn_barrier_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

// A block marches through the chunks of a segment with one or two heads of a group. Its parts work
// side by side, each as many chunks ahead of those that wait for it as there are places:
//
//   mover      a thread that brings B and C, which the heads share, and x, and takes y away
//   steps      warps that find decays
//   weights    a warpgroup: C B^T of a chunk, and with decays and step sizes the weights of each
//   head states     a warpgroup for each head, with its state in registers

/// The decays of a chunk as weights want them.
struct WarpgroupDecays : ChunkDecays<kWarpgroupSteps> {
  // Sums less log2 of the step size: 2^(sums[t] - from[s]) weighs step s at t.
  float from[kWarpgroupSteps];
};

/// What one part of a block makes of each chunk for another, in places that chunks take in turn.
template <typename Thing, int kPlaces>
struct Handed {
  Thing things[kPlaces];
  gpu::TurnBarrier full[kPlaces], used[kPlaces];

  __device__ Thing& at(int chunk) { return things[chunk % kPlaces]; }
  __device__ gpu::TurnBarrier& full_at(int chunk) { return full[chunk % kPlaces]; }

  /// For one thread: so many arrive when a thing is there, and when it was used.
  __device__ void make_barriers(int givers, int users) {
    for (int i = 0; i < kPlaces; ++i) {
      gpu::make_shown_turns(full[i], givers);
      gpu::make_shown_turns(used[i], users);
    }
  }
  /// Waits until the chunk's thing is there, or until there is room for it.
  __device__ void await(int chunk) { gpu::await_turn(full_at(chunk), chunk / kPlaces); }
  __device__ void await_room(int chunk) {
    if (chunk >= kPlaces) gpu::await_turn(used[chunk % kPlaces], chunk / kPlaces - 1);
  }
  /// The thread has made its part of it, or needs it no more.
  __device__ void give(int chunk) { gpu::arrive(full_at(chunk)); }
  __device__ void let_go(int chunk) { gpu::arrive(used[chunk % kPlaces]); }
};

using WarpgroupTile = unsigned char[gpu::kTileBytes];

/// Rows of B and C of a chunk.
template <int kStates>
struct WarpgroupRows {
  WarpgroupTile B[kStates / 64], C[kStates / 64];
};

/// Chunks whose operands are on their way or in use.
inline constexpr int kChunksAhead = 3;

/// Shared memory of a block.
template <int kStates>
struct WarpgroupMemory {
  alignas(1024) Handed<WarpgroupRows<kStates>, kChunksAhead> rows;
  struct Head {
    // Of x, and in the same place, when that was used, of y.
    alignas(1024) Handed<WarpgroupTile, kChunksAhead> signals;
    alignas(1024) Handed<WarpgroupTile, 2> weights;
    Handed<WarpgroupDecays, 4> decays;
  };
  Head heads[kWarpgroupHeads];

  /// One thread, before the block meets.
  __device__ void make_barriers(int count) {
    constexpr int kGroup = gpu::kWarpgroup;
    rows.make_barriers(1, kGroup * count);
    for (Head& head : heads) {
      head.signals.make_barriers(1, kGroup);
      head.weights.make_barriers(kGroup, kGroup);
      head.decays.make_barriers(32, kGroup);
    }
  }
};

/// Where a block works.
struct WarpgroupPlace {
  int b, segment, column, group;
  int head, heads;   // the first one, and how many; none for some of those that stand alone
  int begin;         // the first step of the segment
  int chunks, rest;  // of the segment, and steps of the last chunk

  template <typename T>
  __device__ WarpgroupPlace(const SsdMarchLaunch<T>& launch, SsdMarch march) {
    const SsdPlan& plan = launch.plan;
    int64_t index = blockIdx.x;
    // Of the last ones two stand for one of the others.
    const int64_t alone = index - (int64_t{gridDim.x} - 2 * plan.split);
    if (alone >= 0) index -= alone - alone / 2;
    // What is left of what blocks stand for, from the innermost on.
    const auto next = [&](int64_t count) {
      const int64_t at = index % count;
      index /= count;
      return static_cast<int>(at);
    };
    const int share = static_cast<int>(launch.share);
    const int first = next((share + plan.heads - 1) / plan.heads) * plan.heads +
                      (alone >= 0 ? static_cast<int>(alone % 2) : 0);
    heads = min(alone >= 0 ? 1 : plan.heads, share - first);
    group = next(launch.in.B.extent(2));
    head = group * share + first;
    column = next((launch.in.x.extent(3) + kSsdColumns - 1) / kSsdColumns) * kSsdColumns;
    // The pass for ends leaves out the segment that nothing follows.
    segment = next(plan.segments - (march == SsdMarch::kEnds ? 1 : 0));
    b = static_cast<int>(index);
    begin = static_cast<int>(segment * plan.segment_steps);
    const bool last = segment + 1 == plan.segments;
    const int64_t steps = last ? launch.in.x.extent(1) - begin : plan.segment_steps;
    chunks = static_cast<int>((steps + kWarpgroupSteps - 1) / kWarpgroupSteps);
    rest = static_cast<int>(steps - int64_t{chunks - 1} * kWarpgroupSteps);
  }

  __device__ int first_step(int chunk) const { return begin + chunk * kWarpgroupSteps; }
  __device__ int steps_at(int chunk) const { return chunk + 1 < chunks ? kWarpgroupSteps : rest; }
};

/// The first of the 64 rows of a tile that a lane of a warpgroup holds; the other is 8 further on.
__device__ inline int warpgroup_row() {
  return static_cast<int>(threadIdx.x) / 32 % 4 * 16 + gpu::lane_row();
}

}  // namespace longwave::ops::ssd_cuda_kernels
