// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_layout_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_steps_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// A tile of head_dim of a head of the block, and which of the stages has it.
struct GradItem {
  int head = 0, tile = 0, stage = 0;
};

/// Writes two neighbours of a row, of which `count` are there.
template <typename T>
__device__ void store_pair(const gpu::Pair<T>& pair, int count, int64_t stride, bool paired,
                           T* to) {
  if (count >= 2 && paired) {
    *reinterpret_cast<gpu::Pair<T>*>(to) = pair;
    return;
  }
  if (count >= 1) to[0] = pair.first;
  if (count >= 2) to[stride] = pair.second;
}

/// The chunk that a block sees to, and the items that it goes through: what they read, their decays
/// and their sums.
template <typename T, int kStates, int kColumns>
class GradChunk {
 public:
  using Shared = GradLayout<T, kStates, kColumns>;
  static constexpr int kSteps = Shared::kSteps;

  __device__ GradChunk(const SsdGradLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared) {
    int64_t index = blockIdx.x;
    split = index % launch.splits;
    index /= launch.splits;
    const int64_t groups = launch.args.in.B.extent(2);
    group = index % groups;
    index /= groups;
    chunk = index % launch.chunks;
    b = index / launch.chunks;
    t = chunk * kSteps;
    const int64_t left = launch.args.in.x.extent(1) - t;
    count = left < kSteps ? static_cast<int>(left) : kSteps;
    const int64_t begin = split * launch.plan.heads;
    const int64_t end = min(begin + launch.plan.heads, launch.share);
    first = group * launch.share + begin;
    items = end > begin ? (end - begin) * launch.tiles : 0;
  }

  __device__ GradItem next(const GradItem& item) const {
    const bool more = item.tile + 1 < launch_.tiles;
    return {more ? item.head : item.head + 1, more ? item.tile + 1 : 0,
            (item.stage + 1) % Shared::kStages};
  }
  __device__ int64_t head(const GradItem& item) const { return first + item.head; }
  __device__ int64_t column(const GradItem& item) const { return item.tile * kColumns; }
  __device__ typename Shared::Stage& stage(const GradItem& item) const {
    return shared_.stages[item.stage];
  }
  __device__ ChunkDecays<kSteps>& decays(const GradItem& item) const {
    return shared_.decays[item.head % 2];
  }
  __device__ GradSums<T>& sums(const GradItem& item) const { return shared_.sums[item.head % 2]; }
  __device__ int width(const GradItem& item) const {
    const int64_t left = launch_.args.in.x.extent(3) - column(item);
    return left < kColumns ? static_cast<int>(left) : kColumns;
  }

  /// Sends for B or C of the chunk.
  __device__ void load_rows(const View<const T, 4>& from, bool wide, T* to) const {
    gpu::load_tile<kSteps, kStates>(
        gpu::TileToLoad<T>{
            .from = from.data() + b * from.stride(0) + t * from.stride(1) + group * from.stride(2),
            .row_stride = from.stride(1),
            .stride = from.stride(3),
            .rows = count,
            .count = static_cast<int>(from.extent(3)),
            .wide = wide},
        to);
  }

  /// Sends for what an item reads.
  __device__ void load(const GradItem& item) const {
    typename Shared::Stage& to = stage(item);
    load_signals(launch_.args.in.x, launch_.wide_x, item, to.x);
    load_signals(launch_.args.dy, launch_.wide_dy, item, to.dy);
    load_state(launch_.h, item, to.h);
    load_state(launch_.g, item, to.g);
  }

  /// Finds the decays of a head; a warp at a time.
  __device__ void prepare(const GradItem& item) const {
    const SsdCudaInputs<T>& in = launch_.args.in;
    const RawSteps<kSteps> raw = read_steps<kSteps>(in, b, t, count, head(item));
    find_decays(in, raw, count, HeadRate(in, head(item)), decays(item));
    const float bias = in.dt_bias.absent() ? 0.0f : in.dt_bias(head(item));
#pragma unroll
    for (int i = 0; i < raw.kEach; ++i) {
      shared_.raw[item.head % 2][threadIdx.x % 32 * raw.kEach + i] = raw.dt[i] + bias;
    }
  }

  /// Writes the gradients of steps and skips of an item whose sums are there.
  __device__ void finish(const GradItem& item) const {
    const ChunkPlace at{.b = b, .chunk = chunk, .t = t, .head = head(item)};
    finish_skips(launch_, at, column(item), width(item), sums(item));
    if (item.tile + 1 == launch_.tiles) {
      finish_steps(launch_, at, count, decays(item), shared_.raw[item.head % 2], sums(item));
    }
  }

  /// Adds numbers of rows g and g + 8 up over a row's lanes.
  __device__ void add_along_row(const GradItem& item, float (&numbers)[2], float* to) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = numbers[half];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (threadIdx.x % 4 == 0) put(item, sum, to[gpu::lane_row() + half * 8]);
    }
  }

  /// Adds numbers of four columns up over a column's lanes.
  __device__ void add_along_column(const GradItem& item, float (&numbers)[4], float* to) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float sum = numbers[i];
      sum += __shfl_xor_sync(0xffffffffu, sum, 4);
      sum += __shfl_xor_sync(0xffffffffu, sum, 8);
      sum += __shfl_xor_sync(0xffffffffu, sum, 16);
      if (threadIdx.x % 32 < 4) put(item, sum, to[i / 2 * 8 + gpu::lane_column() + i % 2]);
    }
  }

  /// The first tile of head_dim begins a sum.
  __device__ void put(const GradItem& item, float number, float& to) const {
    to = item.tile == 0 ? number : to + number;
  }

  /// Writes two neighbours of dB or dC, or of the block's share of them.
  __device__ void store_sum(const View<T, 4>& whole, bool paired, int which, int64_t step, int n,
                            int left, const float* two) const {
    if (launch_.splits > 1) {
      float* const to = &launch_.inputs(split, b, step, group, which, n);
      to[0] = two[0];
      if (left > 1) to[1] = two[1];
      return;
    }
    gpu::Pair<T> pair;
    gpu::narrow(two[0], pair.first);
    gpu::narrow(two[1], pair.second);
    store_pair(pair, left, whole.stride(3), paired, &whole(b, step, group, n));
  }

  int64_t split, group, chunk, b, t, first, items;  // first head; heads times tiles
  int count;                                        // steps

 private:
  __device__ void load_signals(const View<const T, 4>& from, bool wide, const GradItem& item,
                               T* to) const {
    gpu::load_tile<kSteps, kColumns>(
        gpu::TileToLoad<T>{.from = from.data() + b * from.stride(0) + t * from.stride(1) +
                                   head(item) * from.stride(2) + column(item) * from.stride(3),
                           .row_stride = from.stride(1),
                           .stride = from.stride(3),
                           .rows = count,
                           .count = width(item),
                           .wide = wide},
        to);
  }

  __device__ void load_state(const View<T, 5>& from, const GradItem& item, T* to) const {
    gpu::load_tile<kColumns, kStates>(
        gpu::TileToLoad<T>{.from = from.data() + b * from.stride(0) + chunk * from.stride(1) +
                                   head(item) * from.stride(2) + column(item) * from.stride(3),
                           .row_stride = from.stride(3),
                           .stride = from.stride(4),
                           .rows = width(item),
                           .count = static_cast<int>(from.extent(4)),
                           .wide = launch_.wide_states},
        to);
  }

  const SsdGradLaunch<T>& launch_;
  Shared& shared_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
