// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd_march_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Where a warp of a march works.
struct MarchPlace {
  int64_t first_head, column, segment, b, group, begin, end;  // heads of the block; steps
  int mine, part;  // which of the block's heads the warp sees to, and its first row there

  __device__ int64_t head() const { return first_head + mine; }
  __device__ int row() const { return part + gpu::lane_row(); }
  /// Steps from t on, `most` at most.
  __device__ int steps_at(int64_t t, int most) const {
    const int64_t left = end - t;
    return left < most ? static_cast<int>(left) : most;
  }
};

template <SsdMarch kMarch, SsdWay kWay, typename T>
__device__ MarchPlace march_place(const SsdMarchLaunch<T>& launch) {
  constexpr bool kForwards = kWay == SsdWay::kForwards;
  const int heads = launch.plan.heads;
  MarchPlace at;
  const int64_t blocks = launch.in.x.extent(2) / heads;
  int64_t index = blockIdx.x;
  at.first_head = index % blocks * heads;
  index /= blocks;
  const int64_t tiles = (launch.in.x.extent(3) + kSsdColumns - 1) / kSsdColumns;
  at.column = index % tiles * kSsdColumns;
  index /= tiles;
  // The pass for ends leaves out the segment that nothing follows.
  const int64_t segments = launch.plan.segments - (kMarch == SsdMarch::kEnds ? 1 : 0);
  at.segment = index % segments + (kMarch == SsdMarch::kEnds && !kForwards ? 1 : 0);
  at.b = index / segments;
  at.group = at.first_head / launch.share;
  const int warp = threadIdx.x / 32;
  at.mine = warp / launch.warps;
  at.part = warp % launch.warps * kSsdRows;
  at.begin = at.segment * launch.plan.segment_steps;
  at.end = launch.in.x.extent(1);
  if (at.segment + 1 < launch.plan.segments) at.end = at.begin + launch.plan.segment_steps;
  return at;
}

/// The tiles of a block: stages of what chunks read, and what is made of them.
template <typename T, int kStates, SsdMarch kMarch>
class MarchTiles {
 public:
  using Layout = MarchLayout<T, kStates, kMarch>;
  static constexpr int kSteps = Layout::kSteps;

  __device__ MarchTiles(const SsdMarchLaunch<T>& launch, const MarchPlace& at,
                        unsigned char* shared)
      : launch_(launch),
        at_(at),
        layout_{launch.plan.heads, launch.warps, launch.plan.stages},
        shared_(shared) {}

  /// Warps of a head.
  __device__ int warps() const { return layout_.warps; }

  /// Whether there is one stage of tiles, which stands for either; decays have two in any case.
  __device__ bool single() const { return layout_.stages == 1; }

  __device__ T* rows(int stage) const {
    return reinterpret_cast<T*>(shared_) + (single() ? 0 : stage * layout_.stage());
  }
  __device__ T* reads(int stage) const { return rows(stage) + Layout::kRowsTile; }
  __device__ T* signals(int stage, int which) const {
    return rows(stage) + Layout::kRowsTile * (Layout::kOutputs ? 2 : 1) +
           which * Layout::kSignalsTile;
  }
  __device__ T* outputs() const {
    return reinterpret_cast<T*>(behind_stages()) + threadIdx.x / 32 * Layout::kOutputTile;
  }
  __device__ T* weights() const {
    return reinterpret_cast<T*>(behind_stages() + layout_.product_bytes()) +
           at_.mine * Layout::kWeightsTile;
  }
  __device__ ChunkDecays<kSteps>& decays(int stage) const {
    return reinterpret_cast<ChunkDecays<kSteps>*>(behind_stages() + layout_.product_bytes() +
                                                  layout_.weight_bytes())[2 * at_.mine + stage];
  }

  /// Sends for what a chunk from step t on reads.
  __device__ void load(int64_t t, int stage) const {
    const int count = at_.steps_at(t, kSteps);
    load_rows(launch_.rows, launch_.wide_rows, t, count, rows(stage));
    if (kMarch == SsdMarch::kOutputs) {
      load_rows(launch_.in.C, launch_.wide_C, t, count, reads(stage));
    }
    const View<const T, 4>& from = launch_.signals;
    const int64_t left = from.extent(3) - at_.column;
    for (int i = 0; i < layout_.heads; ++i) {
      gpu::load_tile<kSteps, kSsdColumns>(
          gpu::TileToLoad<T>{.from = from.data() + at_.b * from.stride(0) + t * from.stride(1) +
                                     (at_.first_head + i) * from.stride(2) +
                                     at_.column * from.stride(3),
                             .row_stride = from.stride(1),
                             .stride = from.stride(3),
                             .rows = count,
                             .count = left < kSsdColumns ? static_cast<int>(left) : kSsdColumns,
                             .wide = launch_.wide_signals},
          signals(stage, i));
    }
    gpu::close_copies();
  }

  /// The tile of C B^T from steps 16 `from` on to steps 16 `to` on.
  __device__ float* product(int to, int from) const {
    return reinterpret_cast<float*>(behind_stages()) + (to * (to + 1) / 2 + from) * 256;
  }

 private:
  __device__ unsigned char* behind_stages() const { return shared_ + layout_.stage_bytes(); }

  __device__ void load_rows(const View<const T, 4>& from, bool wide, int64_t t, int count,
                            T* to) const {
    gpu::load_tile<kSteps, kStates>(
        gpu::TileToLoad<T>{.from = from.data() + at_.b * from.stride(0) + t * from.stride(1) +
                                   at_.group * from.stride(2),
                           .row_stride = from.stride(1),
                           .stride = from.stride(3),
                           .rows = count,
                           .count = static_cast<int>(from.extent(3)),
                           .wide = wide},
        to);
  }

  const SsdMarchLaunch<T>& launch_;
  MarchPlace at_;
  Layout layout_;
  unsigned char* shared_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
