// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_tiles_cuda.cuh"

namespace longwave::ops {

/// What the kernels of a gradient read and write; sums are over the channels of a block, or over
/// the steps of a segment.
template <typename T>
struct SelectiveGradLaunch {
  SelectiveScanCudaGradArgs<T> args;
  View<float, 6> inputs;   // (tiles, batch, time, groups, 2, state) sums for dB and dC
  View<float, 3> A;        // (batch segments, state, channels) sums for dA
  View<float, 3> signals;  // (batch segments, 2, channels) sums for dD and ddt_bias
  View<float, 4> ends;     // (batch, segments, state, channels) the adjoint before or behind a one
  View<float, 3> totals;   // (batch, segments, channels) sum of step sizes; infinity: starts anew
  uint32_t* turn;          // how many blocks have begun; or null, where segments have a pass
  View<uint32_t, 3> handed;  // (batch, segments, tiles) 1: the adjoint behind the segment is there
  int64_t segments, segment_steps;
  int64_t group_channels, group_tiles;  // channels, and blocks side by side, of a group
  bool wide_u, wide_dt, wide_z, wide_dy, wide_B, wide_C;  // rows go 16 bytes at a time
  bool paired_du, paired_ddt, paired_dz;                  // channels go in pairs
};

namespace selective_cuda {

/// Shared memory of a block that computes gradients.
template <typename T, int kStates, int kLanes, int kChannels>
struct GradLayout {
  static constexpr int kPadded = kStates * kLanes;
  static constexpr int kWidth = kSelectiveThreads / kLanes * kChannels;
  static constexpr int kSteps = kPadded <= 16 ? 32 : 64;  // as selective_scan_chunk
  static constexpr int kSub = 4;                          // steps whose states are in registers
  static constexpr int kSubs = kSteps / kSub;
  static constexpr int kWarps = kSelectiveThreads / 32;
  static constexpr int kBlocks = sizeof(T) == 2 && kPadded <= 16 ? 3 : 2;  // of a multiprocessor
  static constexpr int kHeld = kStates * kChannels / 4;  // states of a thread, in fours
  // A warp's sums over channels of a few steps. If they fit where it parked the states before
  // these, they wait there for the end of the tile.
  static constexpr int kSums = kSub * 2 * kPadded;
  static constexpr bool kWaits = kSums <= 4 * 32;
  // From a step of a warp's numbers that are to be summed to the next, in different banks.
  static constexpr int kStaged = 32 * kStates + 16;

  T u[kSteps][kWidth], z[kSteps][kWidth], dy[kSteps][kWidth];
  union {
    T dt[kSteps][kWidth];                          // until the step sizes are there
    float staged[kWarps][kStaged + 32 * kStates];  // two steps
  };
  union {
    T raw_inputs[2][kSteps][kPadded];  // B, C, until they are in float32
    float last_sums[kWaits ? kWarps : 1][kSums];
  };
  float inputs[2][kSteps][kPadded];
  float planes[3][kSteps][kWidth];  // s, dy silu(z), s u
  float4 before[kSubs - 1][kHeld][kSelectiveThreads];
  float bias[kWidth], skip[kWidth];
  float sums[kWaits ? 1 : 2][kWaits ? 1 : kWarps][kWaits ? 1 : kSums];
  uint8_t starts[kSteps];
  uint32_t turn;
};

/// Where a block is in channels and time, and the tiles of operands that it marches through
/// backwards.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradTiles {
 public:
  using Shared = GradLayout<T, kStates, kLanes, kChannels>;
  static constexpr int kSteps = Shared::kSteps, kWidth = Shared::kWidth, kSub = Shared::kSub;
  static constexpr int kPadded = Shared::kPadded, kSubs = Shared::kSubs;
  static constexpr bool kAll = kPass == SelectivePass::kAll;
  static_assert(kStates % 4 == 0 && kChannels == 2);

  __device__ GradTiles(const SelectiveGradLaunch<T>& launch, Shared& shared)
      : launch_(launch), shared_(shared) {
    const int64_t groups = launch.args.in.B.extent(2), tiles = groups * launch.group_tiles;
    const int64_t turn = take_turn(), row = turn / tiles, batch = launch.args.in.u.extent(0);
    tile_ = turn % tiles;
    b_ = row % batch;
    segment_ = launch.segments - 1 - row / batch;  // kEnds leaves the first, nothing is before it
    group_ = tile_ / launch.group_tiles;
    const int64_t first = tile_ % launch.group_tiles * kWidth;
    first_ = group_ * launch.group_channels + first;
    width_ = static_cast<int>(min(static_cast<int64_t>(kWidth), launch.group_channels - first));
    begin_ = segment_ * launch.segment_steps;
    end_ = min(begin_ + launch.segment_steps, launch.args.in.u.extent(1));
    lane_ = threadIdx.x % kLanes;
    mine_ = threadIdx.x / kLanes * kChannels;
  }

 protected:
  __device__ int64_t channel(int i) const { return first_ + mine_ + i; }
  __device__ bool holds(int i, int n) const {
    return mine_ + i < width_ &&
           lane_ * kStates + n < static_cast<int>(launch_.args.in.A.extent(1));
  }
  __device__ int rows_from(int64_t t) const {
    return static_cast<int>(min(static_cast<int64_t>(kSteps), end_ - t));
  }
  __device__ int64_t row() const { return b_ * launch_.segments + segment_; }

  // Where this thread's part of the operands of the tile at t is.
  __device__ void begin_loads(int64_t t) {
    const auto& in = launch_.args.in;
    signals_[0] = first_signal(in.u, launch_.wide_u, t);
    signals_[1] = first_signal(in.dt, launch_.wide_dt, t);
    signals_[2] = first_signal(in.z, launch_.wide_z, t);
    signals_[3] = first_signal(launch_.args.dy, launch_.wide_dy, t);
    inputs_[0] = first_input(in.B, launch_.wide_B, t);
    inputs_[1] = first_input(in.C, launch_.wide_C, t);
    in_pieces_ = kWide && width_ == kWidth && in.A.extent(1) == kPadded && launch_.wide_u &&
                 launch_.wide_dt && (in.z.absent() || launch_.wide_z) && launch_.wide_dy &&
                 launch_.wide_B && launch_.wide_C;
    if (!kAll) return;
    const View<const float, 4>& states = launch_.args.states;
    kept_ = &states(b_, t / kSteps, int64_t{0}, first_) + lane_ * kStates * states.stride(2) +
            mine_ * states.stride(3);
  }
  __device__ const T* first_signal(const View<const T, 3>& x, bool wide, int64_t t) const {
    using Pieces = gpu::RowPieces<kSelectiveThreads, kWidth, T>;
    if (x.absent()) return nullptr;
    return &x(b_, t, first_) + Pieces::row(wide, threadIdx.x) * x.stride(1) +
           Pieces::column(wide, threadIdx.x) * x.stride(2);
  }
  __device__ const T* first_input(const View<const T, 4>& x, bool wide, int64_t t) const {
    using Pieces = gpu::RowPieces<kSelectiveThreads, kPadded, T>;
    return &x(b_, t, group_, int64_t{0}) + Pieces::row(wide, threadIdx.x) * x.stride(1) +
           Pieces::column(wide, threadIdx.x) * x.stride(3);
  }

  template <bool kWhole>
  __device__ void load_signal(int which, const View<const T, 3>& x, bool wide, int rows,
                              T (*to)[kWidth]) {
    if constexpr (kWhole) {
      gpu::load_whole_rows<kSelectiveThreads, kSteps>(signals_[which], x.stride(1), threadIdx.x,
                                                      to);
    } else {
      gpu::load_rows<kSelectiveThreads>(
          gpu::RowsToLoad<T>{signals_[which], x.stride(1), x.stride(2), rows, width_, wide,
                             static_cast<int>(threadIdx.x)},
          to);
    }
    signals_[which] -= kSteps * x.stride(1);
  }
  template <bool kWhole>
  __device__ void load_input(int which, const View<const T, 4>& x, bool wide, int rows) {
    if constexpr (kWhole) {
      gpu::load_whole_rows<kSelectiveThreads, kSteps>(inputs_[which], x.stride(1), threadIdx.x,
                                                      shared_.raw_inputs[which]);
    } else {
      gpu::load_rows<kSelectiveThreads>(
          gpu::RowsToLoad<T>{inputs_[which], x.stride(1), x.stride(3), rows,
                             static_cast<int>(x.extent(3)), wide, static_cast<int>(threadIdx.x)},
          shared_.raw_inputs[which]);
    }
    inputs_[which] -= kSteps * x.stride(1);
  }
  template <bool kWhole>
  __device__ void load_all(int rows) {
    const auto& in = launch_.args.in;
    if (kAll) load_signal<kWhole>(0, in.u, launch_.wide_u, rows, shared_.u);
    load_signal<kWhole>(1, in.dt, launch_.wide_dt, rows, shared_.dt);
    if (!in.z.absent()) load_signal<kWhole>(2, in.z, launch_.wide_z, rows, shared_.z);
    load_signal<kWhole>(3, launch_.args.dy, launch_.wide_dy, rows, shared_.dy);
    if (kAll) load_input<kWhole>(0, in.B, launch_.wide_B, rows);
    load_input<kWhole>(1, in.C, launch_.wide_C, rows);
  }

  // Asks for a tile of operands; the next call is about the tile before it.
  __device__ void load(int64_t t) {
    const int rows = rows_from(t);
    if (kWide && in_pieces_ && rows == kSteps) {
      if constexpr (kWide) load_all<true>(rows);
    } else {
      load_all<false>(rows);
    }
    if (kAll) load_kept();
  }

  // Asks for the state before a tile, as the scan kept it.
  __device__ void load_kept() {
    const View<const float, 4>& states = launch_.args.states;
    float* const to = &shared_.before[0][0][threadIdx.x].x;
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        float* const place = to + (i * kStates + n) / 4 * 4 * kSelectiveThreads + n % 4;
        if (holds(i, n)) {
          gpu::copy_4_bytes(place, kept_ + n * states.stride(2) + i * states.stride(3));
        } else {
          *place = 0.0f;
        }
      }
    }
    kept_ -= states.stride(1);
  }

  // Fills planes and inputs; zeros beyond the end, which change nothing. Returns whether a sequence
  // starts in the tile.
  __device__ bool prepare(int64_t t) {
    const auto& in = launch_.args.in;
    const int rows = rows_from(t), state = static_cast<int>(in.A.extent(1));
    if (rows == kSteps && width_ == kWidth) {
      prepare_steps<true>(rows);
    } else {
      prepare_steps<false>(rows);
    }
#pragma unroll
    for (int which = kAll ? 0 : 1; which < 2; ++which) {
      gpu::widen_rows<kSelectiveThreads, kSteps>(shared_.raw_inputs[which], rows, state,
                                                 shared_.inputs[which]);
    }
    return mark_starts(in.starts, b_, t, rows, shared_.starts);
  }

  // A thread sees to two channels, and to every kRowsAtOnce-th step. kWhole: no step and no channel
  // of the tile is beyond the end.
  template <bool kWhole>
  __device__ void prepare_steps(int rows) {
    constexpr int kRowsAtOnce = kSelectiveThreads / (kWidth / 2), kBatch = 4;
    static_assert(kSteps % (kBatch * kRowsAtOnce) == 0);
    const auto& in = launch_.args.in;
    const bool soft = in.step_size == StepSize::kSoftplus, gated = !in.z.absent();
    const int c = threadIdx.x % (kWidth / 2) * 2;
    const float2 bias = *reinterpret_cast<const float2*>(&shared_.bias[c]);
#pragma unroll 1
    for (int first = threadIdx.x / (kWidth / 2); first < kSteps; first += kBatch * kRowsAtOnce) {
      float2 s[kBatch], dyg[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        s[i] = gpu::pair_of(&shared_.dt[first + i * kRowsAtOnce][c]);
        dyg[i] = gpu::pair_of(&shared_.dy[first + i * kRowsAtOnce][c]);
        s[i].x += bias.x, s[i].y += bias.y;
      }
      if (gated) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          const float2 z = gpu::pair_of(&shared_.z[first + i * kRowsAtOnce][c]);
          dyg[i].x *= gpu::silu(z.x), dyg[i].y *= gpu::silu(z.y);
        }
      }
      if (soft) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          s[i] = make_float2(gpu::softplus(s[i].x), gpu::softplus(s[i].y));
        }
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = first + i * kRowsAtOnce;
        float2 su = make_float2(0.0f, 0.0f);
        if (kAll) {
          const float2 u = gpu::pair_of(&shared_.u[row][c]);
          su = make_float2(s[i].x * u.x, s[i].y * u.y);
        }
        if constexpr (!kWhole) {
          const bool here = row < rows && c < width_, next = row < rows && c + 1 < width_;
          s[i] = make_float2(here ? s[i].x : 0.0f, next ? s[i].y : 0.0f);
          dyg[i] = make_float2(here ? dyg[i].x : 0.0f, next ? dyg[i].y : 0.0f);
          su = make_float2(here ? su.x : 0.0f, next ? su.y : 0.0f);
        }
        put(0, row, c, s[i]);
        put(1, row, c, dyg[i]);
        if (kAll) put(2, row, c, su);
      }
    }
  }

  __device__ void put(int plane, int i, int c, float2 two) const {
    *reinterpret_cast<float2*>(&shared_.planes[plane][i][c]) = two;
  }

  const SelectiveGradLaunch<T>& launch_;
  Shared& shared_;
  int64_t b_, segment_, group_, tile_, first_, begin_, end_;
  int width_, lane_, mine_;  // channels of the block; lane in the channel; first channel held

 private:
  // Segments are begun from the last on, so that who waits for another came after it.
  __device__ int64_t take_turn() const {
    if (launch_.turn == nullptr) return blockIdx.x;
    if (threadIdx.x == 0) shared_.turn = atomicAdd(launch_.turn, 1u);
    __syncthreads();
    return shared_.turn;
  }

  static constexpr bool kWide = gpu::RowPieces<kSelectiveThreads, kWidth, T>::kInPieces &&
                                gpu::RowPieces<kSelectiveThreads, kPadded, T>::kInPieces;

  const T *signals_[4], *inputs_[2];  // this thread's part of the next tile of u, dt, z, dy, B, C
  bool in_pieces_;                    // whether whole tiles can go 16 bytes at a time
  const float* kept_;                 // and of the states before the next tile
};

}  // namespace selective_cuda
}  // namespace longwave::ops
