// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_layout_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_starts_cuda.cuh"

namespace longwave::ops {

/// What the kernels of a scan read and write.
template <typename T>
struct SelectiveScanLaunch {
  SelectiveScanCudaArgs<T> args;
  View<float, 4> ends;    // (batch, segments, state, channels) the state after or before a segment
  View<float, 3> totals;  // (batch, segments, channels) sum of step sizes; infinity: it starts anew
  int64_t segments, segment_steps, chunk;
  int chunk_shift;                      // chunk == 1 << chunk_shift
  int64_t group_channels, group_tiles;  // channels, and blocks side by side, of a group
  // Whether rows can be copied 16 bytes at a time; and that besides, as of y alone, steps and the
  // bytes from one to the next fit into 32 bits.
  bool wide_u, wide_dt, wide_z, wide_B, wide_C, short_y;
  struct {
    int u, dt, z, B, C, y;
  } step_bytes;
};

/// Which of the passes over time: what a segment adds to the state, or everything; or (of a
/// gradient alone) everything, with the adjoint handed on from tile to tile.
enum class SelectivePass : uint8_t { kEnds, kAll, kChain };

namespace selective_cuda {

/// Where a block is in channels and time, and the tiles of operands that it marches through.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass,
          SelectiveWork kWork>
class Tiles {
 public:
  using Shared = Layout<T, kStates, kLanes, kChannels, kWork>;
  using Slot = typename Shared::Slot;
  static constexpr int kSteps = Shared::kSteps, kWidth = Shared::kWidth;
  static constexpr int kWarpWidth = Shared::kWarpWidth, kPadded = Shared::kPadded;
  static constexpr bool kAll = kPass == SelectivePass::kAll;
  static constexpr bool kApart = kWork == SelectiveWork::kApart;

  __device__ Tiles(const SelectiveScanLaunch<T>& launch, Shared& shared)
      : launch_(launch),
        shared_(shared),
        member_(kApart ? 0 : gpu::part_of_block(kSelectiveThreads)) {
    const int64_t members = kApart ? 1 : blockDim.x / kSelectiveThreads;
    const int64_t block = blockIdx.x * members + member_;
    const int64_t tiles = launch.args.in.B.extent(2) * launch.group_tiles;
    const int64_t segments = kAll ? launch.segments : launch.segments - 1;
    const int64_t tile = block % tiles, row = block / tiles;
    segment_ = row % segments;
    b_ = row / segments;
    group_ = tile / launch.group_tiles;
    const int64_t first = tile % launch.group_tiles * kWidth;
    first_ = group_ * launch.group_channels + first;
    width_ = static_cast<int>(min(static_cast<int64_t>(kWidth), launch.group_channels - first));
    begin_ = segment_ * launch.segment_steps;
    end_ = min(begin_ + launch.segment_steps, launch.args.in.u.extent(1));
  }

 protected:
  __device__ int rows_from(int64_t t) const {
    return static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
  }

  // Where this thread's part of the operands of the first tile is.
  __device__ void begin_loads() {
    const auto& in = launch_.args.in;
    signals_[0] = first_signal(in.u, launch_.wide_u);
    signals_[1] = first_signal(in.dt, launch_.wide_dt);
    signals_[2] = first_signal(in.z, launch_.wide_z);
    inputs_[0] = first_input(in.B, launch_.wide_B);
    inputs_[1] = first_input(in.C, launch_.wide_C);
    for (const T*& signal : signals_) gpu::hold(signal);
    for (const T*& inputs : inputs_) gpu::hold(inputs);
    in_pieces_ = kWide && width_ == kWidth && in.A.extent(1) == kPadded && launch_.wide_u &&
                 launch_.wide_dt && (in.z.absent() || launch_.wide_z) && launch_.wide_B &&
                 launch_.wide_C;
    for (int i = static_cast<int>(thread()); i < kWidth; i += kSelectiveThreads) {
      const bool there = i < width_;
      shared_.bias[i] = there && !in.dt_bias.absent() ? in.dt_bias(first_ + i) : 0.0f;
      shared_.skip[i] = there && !in.D.absent() ? in.D(first_ + i) : 0.0f;
    }
  }

  // Asks for a tile of operands.
  __device__ void load(int64_t t, int stage) {
    const int rows = rows_from(t);
    if constexpr (kWide) {
      if (in_pieces_ && rows == kSteps) {
        load_whole(static_cast<int>(t - begin_), stage);
        return;
      }
    }
    load_some(t - begin_, rows, stage);
  }

  // Step sizes, and B and C in float32; zeros beyond the end, which change nothing. Returns whether
  // a sequence starts in the tile.
  __device__ bool prepare(int64_t t, int stage, Slot& slot) const {
    const auto& in = launch_.args.in;
    const int rows = rows_from(t), state = static_cast<int>(in.A.extent(1));
    if (rows == kSteps && width_ == kWidth) {
      prepare_steps<true>(rows, stage, slot);
    } else {
      prepare_steps<false>(rows, stage, slot);
    }
    if (rows == kSteps && state == kPadded) {
      widen_inputs<true>(rows, state, stage, slot);
    } else {
      widen_inputs<false>(rows, state, stage, slot);
    }
    return any(mark_own_start(in.starts, b_, t, rows, slot.starts, thread()));
  }

  // Of a member; where warps work apart, those that prepare tiles are the first.
  __device__ static unsigned thread() {
    return kApart ? threadIdx.x : threadIdx.x % kSelectiveThreads;
  }

  // A barrier of the member's threads, or of those that prepare tiles.
  __device__ void meet() const { gpu::meet_at(kPreparing + member_, kSelectiveThreads); }
  __device__ bool any(bool here) const {
    return gpu::any_at(kPreparing + member_, kSelectiveThreads, here);
  }
  static constexpr int kPreparing = 1;

  // Outside of the march a thread sees to two channels, and to every kRowsAtOnce-th step.
  static constexpr int kRowsAtOnce = kSelectiveThreads / (kWidth / 2);
  static constexpr int kPasses = (kSteps + kRowsAtOnce - 1) / kRowsAtOnce;
  static constexpr int kBatch = kPasses < 4 ? kPasses : 4;  // side by side, to hide latency
  __device__ int column() const { return threadIdx.x % (kWidth / 2) * 2; }
  __device__ int first_row() const {
    const int thread = threadIdx.x % kSelectiveThreads;
    return thread / (kWidth / 2);
  }
  // The step of the i-th pass, or the last where the passes are more than the steps.
  __device__ int row_of_pass(int i) const {
    const int row = first_row() + i * kRowsAtOnce;
    return kSteps % kRowsAtOnce == 0 ? row : min(row, kSteps - 1);
  }

  const SelectiveScanLaunch<T>& launch_;
  Shared& shared_;
  // Which of the block's members this is: of kSelectiveThreads each, with shared memory of their
  // own, they do the work of as many blocks. Warps that work apart are one.
  const int member_;
  int64_t b_, segment_, group_, first_, begin_, end_;
  int width_;  // channels of the block

 private:
  static constexpr bool kWide = gpu::RowPieces<kSelectiveThreads, kWidth, T>::kInPieces &&
                                gpu::RowPieces<kSelectiveThreads, kPadded, T>::kInPieces;

  template <int kCount>
  __device__ const T* first_piece(const T* from, int64_t row_stride, int64_t stride,
                                  bool wide) const {
    using Pieces = gpu::RowPieces<kSelectiveThreads, kCount, T>;
    return from + Pieces::row(wide, thread()) * row_stride +
           Pieces::column(wide, thread()) * stride;
  }
  __device__ const T* first_signal(const View<const T, 3>& x, bool wide) const {
    if (x.absent()) return nullptr;
    return first_piece<kWidth>(&x(b_, begin_, first_), x.stride(1), x.stride(2), wide);
  }
  __device__ const T* first_input(const View<const T, 4>& x, bool wide) const {
    return first_piece<kPadded>(&x(b_, begin_, group_, int64_t{0}), x.stride(1), x.stride(3), wide);
  }

  // A tile from `step` of the block's time on.
  template <int kCount>
  __device__ void load_part(const T* from, int64_t step, const gpu::RowsToLoad<T>& rows,
                            T (*to)[kCount]) {
    gpu::RowsToLoad<T> load = rows;
    load.from = from + step * rows.row_stride;
    load.thread = static_cast<int>(thread());
    gpu::load_rows<kSelectiveThreads>(load, to);
  }
  __device__ void load_signal(int which, const View<const T, 3>& x, bool wide, int64_t step,
                              int rows, int stage) {
    load_part(signals_[which], step,
              {.row_stride = x.stride(1),
               .stride = x.stride(2),
               .rows = rows,
               .count = width_,
               .wide = wide},
              shared_.raw[stage][which]);
  }
  __device__ void load_input(int which, const View<const T, 4>& x, bool wide, int64_t step,
                             int rows, int stage) {
    load_part(inputs_[which], step,
              {.row_stride = x.stride(1),
               .stride = x.stride(3),
               .rows = rows,
               .count = static_cast<int>(x.extent(3)),
               .wide = wide},
              shared_.raw_inputs[stage][which]);
  }
  __device__ void load_some(int64_t step, int rows, int stage) {
    const auto& in = launch_.args.in;
    load_signal(0, in.u, launch_.wide_u, step, rows, stage);
    load_signal(1, in.dt, launch_.wide_dt, step, rows, stage);
    if (kAll && !in.z.absent()) load_signal(2, in.z, launch_.wide_z, step, rows, stage);
    load_input(0, in.B, launch_.wide_B, step, rows, stage);
    if (kAll) load_input(1, in.C, launch_.wide_C, step, rows, stage);
  }

  __device__ void load_whole_signal(int which, int step, int bytes, int stage) {
    gpu::load_whole_rows<kSelectiveThreads, kSteps>(signals_[which], step, bytes, thread(),
                                                    shared_.raw[stage][which]);
  }
  __device__ void load_whole_input(int which, int step, int bytes, int stage) {
    gpu::load_whole_rows<kSelectiveThreads, kSteps>(inputs_[which], step, bytes, thread(),
                                                    shared_.raw_inputs[stage][which]);
  }
  __device__ void load_whole(int step, int stage) {
    load_whole_signal(0, step, launch_.step_bytes.u, stage);
    load_whole_signal(1, step, launch_.step_bytes.dt, stage);
    if (kAll && !launch_.args.in.z.absent()) {
      load_whole_signal(2, step, launch_.step_bytes.z, stage);
    }
    load_whole_input(0, step, launch_.step_bytes.B, stage);
    if (kAll) load_whole_input(1, step, launch_.step_bytes.C, stage);
  }

  // kWhole: no step and no channel of the tile is beyond the end.
  template <bool kWhole>
  __device__ void prepare_steps(int rows, int stage, Slot& slot) const {
    const bool soft = launch_.args.in.step_size == StepSize::kSoftplus;
    const int c = column();
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
#pragma unroll
    for (int first = 0; first < kPasses; first += kBatch) {
      float2 u[kBatch], s[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = row_of_pass(first + i);
        u[i] = gpu::pair_of(shared_.raw[stage][0][row] + c);
        s[i] = gpu::pair_of(shared_.raw[stage][1][row] + c);
        s[i].x += bias.x, s[i].y += bias.y;
      }
      if (soft) gpu::softplus(s);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first_row() + (first + i) * kRowsAtOnce;
        if (kSteps % kRowsAtOnce != 0 && row >= kSteps) break;
        const bool here = kWhole || (row < rows && c < width_);
        const bool next = kWhole || (row < rows && c + 1 < width_);
        *reinterpret_cast<float4*>(&slot.steps[row][c]) =
            make_float4(here ? s[i].x : 0.0f, here ? s[i].x * u[i].x : 0.0f, next ? s[i].y : 0.0f,
                        next ? s[i].y * u[i].y : 0.0f);
      }
    }
  }

  template <bool kWhole>
  __device__ void widen_inputs(int rows, int state, int stage, Slot& slot) const {
#pragma unroll
    for (int which = 0; which < (kAll ? 2 : 1); ++which) {
      gpu::widen_rows<kSelectiveThreads, kSteps, kWhole>(shared_.raw_inputs[stage][which], rows,
                                                         state, slot.inputs[which], thread());
    }
  }

  const T *signals_[3], *inputs_[2];  // this thread's part of the first tile of u, dt, z, B and C
  bool in_pieces_;                    // whether whole tiles can go 16 bytes at a time
};

}  // namespace selective_cuda
}  // namespace longwave::ops
