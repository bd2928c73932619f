// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/bulk_copy_cuda.cuh"
#include "longwave/ops/cuda/swizzled_copy_cuda.cuh"
#include "longwave/ops/cuda/turn_barrier_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_layout_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// What the warpgroups of a block leave of one head, to be added up.
struct WarpgroupGradSums {
  float rows[4][kWarpgroupSteps];  // by t and warp: over s <= t of L d (C B) (dy x)
  float columns[kWarpgroupSteps];  // by s: the same over t >= s
  float reads[kWarpgroupSteps];    // by t: dy times what the state before the chunk gives to y
  float behind[kWarpgroupSteps];   // by s: x times what G gives to dx
  float signals[kWarpgroupSteps];  // by s: x times what all give to dx, but for d
  float states[8];                 // by warp: G times what is left of h
  float skips[4][kSsdColumns];     // by column and warp: dy x
};

/// Shared memory of a block that finds the gradients of a chunk on warpgroups.
template <typename T, int kStates>
struct WarpgroupGradLayout {
  static constexpr int kTiles = kStates / 64, kTile = kWarpgroupSteps * 64;
  // Heads whose tiles are on their way or in use; and whose sums are.
  static constexpr int kStages = 3, kSums = 3;

  struct Stage {
    T x[kTile], dy[kTile];
    T h[kTiles][kTile], g[kTiles][kTile];
  };

  T B[kTiles][kTile], C[kTiles][kTile];
  Stage stages[kStages];
  T weights[2][kTile];  // by the step that gives and the step that takes; at last pairs of steps
  T results[kTile];     // dx of a head
  StepsOfChunk steps[kStages];
  float skips[kStages][kSsdColumns];  // D
  WarpgroupGradSums sums[kSums];
  gpu::TurnBarrier loaded[kStages];
};

/// What the warpgroups of a block share that finds the gradients of one chunk, head after head: in
/// turn i the tiles of head i are there, and those of head i - 1 still.
template <typename T, int kStates>
class WarpgroupGradBlock {
 public:
  using Shared = WarpgroupGradLayout<T, kStates>;
  using Stage = typename Shared::Stage;
  static constexpr int kTiles = Shared::kTiles, kTile = Shared::kTile;
  static constexpr int kThreads = 4 * gpu::kWarpgroup, kLoaders = 2 * gpu::kWarpgroup;

  __device__ WarpgroupGradBlock(const SsdWarpgroupGradLaunch<T>& launch, Shared& shared)
      : launch(launch.common), shared(shared), all(launch) {
    int64_t index = blockIdx.x;
    split = index % this->launch.splits;
    index /= this->launch.splits;
    const int64_t groups = this->launch.args.in.B.extent(2);
    group = index % groups;
    index /= groups;
    chunk = index % this->launch.chunks;
    b = index / this->launch.chunks;
    t = chunk * kWarpgroupSteps;
    const int64_t left = this->launch.args.in.x.extent(1) - t;
    count = left < kWarpgroupSteps ? static_cast<int>(left) : kWarpgroupSteps;
    const int64_t begin = split * this->launch.plan.heads;
    first_head = group * this->launch.share + begin;
    heads = static_cast<int>(min(this->launch.plan.heads, this->launch.share - begin));
    width = static_cast<int>(this->launch.args.in.x.extent(3));
    down = threadIdx.x % gpu::kWarpgroup / 32 * 16;
  }

  /// Sends what all heads need and the first head's tiles on their way.
  __device__ void open() const {
    if (threadIdx.x == kLeader) {
      for (gpu::TurnBarrier& barrier : shared.loaded) gpu::make_shown_turns(barrier, 1);
    }
    for (int i = threadIdx.x; i < Shared::kStages * kSsdColumns; i += kThreads) {
      shared.skips[i / kSsdColumns][i % kSsdColumns] = 0.0f;
    }
    // Nothing is given to earlier steps.
    auto* const weights = reinterpret_cast<uint4*>(shared.weights);
    for (int i = threadIdx.x; i < sizeof(shared.weights) / sizeof(uint4); i += kThreads) {
      weights[i] = uint4{};
    }
    __syncthreads();
    load_rows(launch.args.in.B, shared.B[0]);
    load_rows(launch.args.in.C, shared.C[0]);
    gpu::close_copies();
  }

  /// Begins turn i, when the tiles of its head and what the turn before left are there.
  __device__ void begin(int i) const {
    gpu::await_copies<0>();
    gpu::show_to_async_proxy();
    meet();
    if (i < heads) gpu::await_turn(shared.loaded[i % Shared::kStages], i / Shared::kStages);
  }

  /// Waits for all warpgroups, wherever they are in their code.
  __device__ static void meet() { gpu::meet_at(1, kThreads); }

  /// Sends the tiles of head i on their way; `thread` is one of kLoaders.
  __device__ void load(int thread, int i) const {
    Stage& to = shared.stages[i % Shared::kStages];
    const int64_t head = first_head + i;
    load_signals(thread, launch.args.in.x, head, to.x);
    load_signals(thread, launch.args.dy, head, to.dy);
    const View<const float, 2>& D = launch.args.in.D;
    if (!D.absent() && thread < width) {
      gpu::copy_4_bytes(&shared.skips[i % Shared::kStages][thread],
                        &D(head, D.extent(1) == 1 ? 0 : thread));
    }
    gpu::close_copies();
    if (threadIdx.x != kLeader) return;
    gpu::TurnBarrier& loaded = shared.loaded[i % Shared::kStages];
    gpu::expect_bytes(loaded, sizeof(to.h) + sizeof(to.g) + sizeof(StepsOfChunk));
    gpu::begin_bulk_load(to.h, image(launch.h, head), sizeof(to.h), loaded);
    gpu::begin_bulk_load(to.g, image(launch.g, head), sizeof(to.g), loaded);
    gpu::begin_bulk_load(&shared.steps[i % Shared::kStages], &all.steps(b, chunk, head),
                         sizeof(StepsOfChunk), loaded);
  }

  __device__ const Stage& stage(int i) const { return shared.stages[i % Shared::kStages]; }
  __device__ const StepsOfChunk& steps(int i) const { return shared.steps[i % Shared::kStages]; }
  __device__ WarpgroupGradSums& sums(int i) const { return shared.sums[i % Shared::kSums]; }
  __device__ const float* skips(int i) const { return shared.skips[i % Shared::kStages]; }

  /// Of a sum of 64 rows, the lane's rows; the first of the warp's is `down`.
  __device__ int row(int half) const { return down + gpu::lane_row() + half * 8; }
  __device__ int warp() const { return down / 16; }

  /// The numbers of a lane's pair of columns of a tile.
  __device__ float2 pair(const T* tile, int half, int j) const {
    const int place = gpu::place_in_tile(row(half), j) + gpu::lane_column() * 2;
    return gpu::pair_of(reinterpret_cast<const T*>(reinterpret_cast<const char*>(tile) + place));
  }

  /// Adds numbers of a lane's two rows up over a row's lanes.
  __device__ void put_rows(const float (&numbers)[2], float* to) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = numbers[half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (threadIdx.x % 4 == 0) to[row(half)] = sum;
    }
  }

  /// Adds numbers of the columns of four tiles up over a warp's rows.
  __device__ static void put_columns(float (&numbers)[8], float* to) {
    gpu::add_lanes<8, 16, 4>(numbers);
    const int place = gpu::place_of_sum<8, 16, 4>();
    to[place / 2 * 8 + gpu::lane_column() + place % 2] = numbers[0];
  }

  const SsdGradLaunch<T>& launch;
  Shared& shared;
  const SsdWarpgroupGradLaunch<T>& all;
  int64_t split, group, chunk, b, t, first_head;
  int heads, count, width, down;  // steps; columns of head_dim; first row of the warp

 private:
  // The thread that begins bulk loads.
  static constexpr int kLeader = kThreads - 32;

  __device__ void load_rows(const View<const T, 4>& from, T* to) const {
    gpu::load_swizzled<kThreads, kTiles>(
        threadIdx.x, from.data() + b * from.stride(0) + t * from.stride(1) + group * from.stride(2),
        from.stride(1), count, static_cast<int>(from.extent(3)), to);
  }

  __device__ void load_signals(int thread, const View<const T, 4>& from, int64_t head,
                               T* to) const {
    gpu::load_swizzled<kLoaders, 1>(
        thread, from.data() + b * from.stride(0) + t * from.stride(1) + head * from.stride(2),
        from.stride(1), count, width, to);
  }

  __device__ const T* image(const View<T, 5>& from, int64_t head) const {
    return from.data() + b * from.stride(0) + chunk * from.stride(1) + head * from.stride(2);
  }
};

}  // namespace longwave::ops::ssd_cuda_kernels
