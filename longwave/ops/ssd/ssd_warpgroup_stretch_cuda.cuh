// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

/// Chunks of a head, or of 64 columns of it, that a block marches through without pause.
struct SsdStretch {
  int b, column, head;
  int segment;        // of those that the plan cuts time into
  int first, chunks;  // of time; without chunks there is no such stretch
  int turn = -1;      // of the block that shares out chunks with others, or -1
};

/// What a block works on: a segment, or in turn what a plan with slots gives to one. The latter
/// begins with the head whose end is another's, and ends with that whose beginning was: no block
/// waits for what is not begun.
template <typename T, SsdMarch kMarch>
class SsdStretches {
 public:
  /// A barrier of the block, if the plan has slots.
  __device__ explicit SsdStretches(const SsdWarpgroupLaunch<T>& launch)
      : launch_(launch), turn_(static_cast<int>(blockIdx.x)) {
    if (kMarch != SsdMarch::kOutputs || launch.hand_over.turn == nullptr) return;
    __shared__ uint32_t turn;
    if (threadIdx.x == 0) turn = atomicAdd(launch.hand_over.turn, 1u);
    __syncthreads();
    turn_ = static_cast<int>(turn);
  }

  /// The i-th of the block.
  __device__ SsdStretch operator[](int i) const {
    if (kMarch == SsdMarch::kOutputs && launch_.hand_over.turn != nullptr) return shared_out(i);
    SsdStretch stretch{};
    if (i > 0) return stretch;
    const SsdPlan& plan = launch_.march.plan;
    // The pass for ends leaves out the segment that nothing follows.
    const int64_t segments = plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
    const int64_t heads = launch_.march.in.x.extent(2), tiles = column_tiles_of();
    const int64_t head = turn_ % heads, tile = turn_ / heads % tiles, row = turn_ / heads / tiles;
    const int64_t segment = row % segments;
    return of_head((row / segments * tiles + tile) * heads + head, segment,
                   segment * plan.segment_steps / kWarpgroupSteps,
                   plan.segment_steps / kWarpgroupSteps);
  }

 private:
  __device__ int64_t column_tiles_of() const {
    return (launch_.march.in.x.extent(3) + kSsdColumns - 1) / kSsdColumns;
  }
  __device__ int64_t chunks_of_head() const {
    return (launch_.march.in.x.extent(1) + kWarpgroupSteps - 1) / kWarpgroupSteps;
  }

  // `unit` counts heads, then tiles of their columns, then sequences.
  __device__ SsdStretch of_head(int64_t unit, int64_t segment, int64_t first,
                                int64_t chunks) const {
    const int64_t heads = launch_.march.in.x.extent(2), tiles = column_tiles_of();
    return {.b = static_cast<int>(unit / heads / tiles),
            .column = static_cast<int>(unit / heads % tiles * kSsdColumns),
            .head = static_cast<int>(unit % heads),
            .segment = static_cast<int>(segment),
            .first = static_cast<int>(first),
            .chunks = static_cast<int>(min(chunks, chunks_of_head() - first))};
  }

  __device__ SsdStretch shared_out(int i) const {
    const int64_t each = chunks_of_head(), slots = launch_.march.plan.slots;
    const int64_t all = launch_.march.in.x.extent(0) * launch_.march.in.x.extent(2) *
                        column_tiles_of() * each;
    const int64_t begin = all * turn_ / slots, end = all * (turn_ + 1) / slots;
    const int64_t opening = end % each > 0 ? 1 : 0, closing = begin % each > 0 ? 1 : 0;
    const int64_t whole = end / each - begin / each - closing;
    SsdStretch stretch{};
    if (i < opening) {
      stretch = of_head(end / each, 0, 0, end % each);
    } else if (i < opening + whole) {
      stretch = of_head(begin / each + closing + i - opening, 0, 0, each);
    } else if (i < opening + whole + closing) {
      stretch = of_head(begin / each, 0, begin % each, each);
    }
    stretch.turn = turn_;
    return stretch;
  }

  const SsdWarpgroupLaunch<T>& launch_;
  int turn_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
