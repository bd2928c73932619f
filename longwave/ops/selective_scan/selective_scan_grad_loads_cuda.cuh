// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_grad_tiles_cuda.cuh"

namespace longwave::ops::selective_cuda {

/// Brings a block that computes gradients its tiles of operands.
///
/// Of a whole tile each warp brings one signal, each half of the block B or C, and all of it the
/// states before the tile, in pieces of 16 bytes.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass>
class GradLoads : public GradTiles<T, kStates, kLanes, kChannels, kPass> {
 public:
  using Base = GradTiles<T, kStates, kLanes, kChannels, kPass>;
  using Shared = typename Base::Shared;
  using Base::kAll, Base::kPadded, Base::kSteps, Base::kWidth;

  using Base::Base;

 protected:
  using Base::launch_, Base::place, Base::rows_from, Base::shared_, Base::width_;

  // A barrier has to come before the first load.
  __device__ void begin_loads() {
    const auto& in = launch_.args.in;
    whole_ = width_ == kWidth && in.A.extent(1) == kPadded && launch_.wide_u && launch_.wide_dt &&
             (in.z.absent() || launch_.wide_z) && launch_.wide_dy && launch_.wide_B &&
             launch_.wide_C && (!kAll || launch_.wide_states);
    if (threadIdx.x == 0) {
      const GradPlace& at = place();
      const auto signal = [&](int which, const View<const T, 3>& x) {
        shared_.operands[which] = {x.absent() ? nullptr : &x(at.b, int64_t{0}, at.first),
                                   x.stride(1)};
      };
      const auto input = [&](int which, const View<const T, 4>& x) {
        shared_.operands[which] = {&x(at.b, int64_t{0}, at.group, int64_t{0}), x.stride(1)};
      };
      signal(0, kAll ? in.u : View<const T, 3>{});
      signal(1, in.z);
      signal(2, launch_.args.dy);
      signal(3, in.dt);
      input(4, in.B);
      input(5, in.C);
    }
  }

  // Asks for a tile of operands; gpu::finish_copies() waits for this thread's part.
  __device__ void load(int64_t t) const {
    const int rows = rows_from(t);
    if (whole_ && rows == kSteps) {
      load_whole(t);
    } else {
      load_rows(t, rows);
    }
  }

 private:
  static constexpr int kHalf = kSelectiveThreads / 2;
  using Signal = gpu::RowPieces<32, kWidth, T>;
  using Input = gpu::RowPieces<kHalf, kPadded, T>;
  using Kept = gpu::RowPieces<kSelectiveThreads, kWidth, float>;
  static_assert(Signal::kInPieces && Input::kInPieces && Kept::kInPieces);
  // Rows that are brought at once.
  static constexpr int kSignalRows = 32 / Signal::kPieces, kInputRows = kHalf / Input::kPieces;
  static constexpr int kKeptRows = kSelectiveThreads / Kept::kPieces;
  static_assert(kSteps % kSignalRows == 0 && kSteps % kInputRows == 0 && kPadded % kKeptRows == 0);

  __device__ void load_whole(int64_t t) const {
    const int thread = threadIdx.x, which = thread / 32, input = thread / kHalf;
    const auto signal = shared_.operands[which];
    if (signal.from != nullptr) {
      const int row = Signal::row(true, thread % 32), column = Signal::column(true, thread % 32);
      load_pieces<kSignalRows, kSteps>(
          signal.from + (t + row) * signal.stride + column, signal.stride,
          &(which < 3 ? shared_.signals[which] : shared_.dt)[row], column);
    }
    if (kAll || input == 1) {
      const auto operand = shared_.operands[4 + input];
      const int row = Input::row(true, thread % kHalf);
      const int column = Input::column(true, thread % kHalf);
      load_pieces<kInputRows, kSteps>(operand.from + (t + row) * operand.stride + column,
                                      operand.stride, &shared_.raw_inputs[input][row], column);
    }
    if (!kAll) return;
    const View<const float, 4>& states = launch_.args.states;
    const int row = Kept::row(true, thread), column = Kept::column(true, thread);
    load_pieces<kKeptRows, kPadded>(
        &states(place().b, t / kSteps, int64_t{0}, place().first) + row * states.stride(2) + column,
        states.stride(2), &shared_.kept[row], column);
  }
  // One piece of every kAtOnce-th of kRows rows.
  template <int kAtOnce, int kRows, int kCount, typename Number>
  __device__ static void load_pieces(const Number* from, int64_t stride, Number (*to)[kCount],
                                     int column) {
#pragma unroll
    for (int k = 0; k < kRows; k += kAtOnce) gpu::copy_16_bytes(&to[k][column], from + k * stride);
  }

  // The rows and columns that are there, whatever their strides.
  __device__ void load_rows(int64_t t, int rows) const {
    const auto& in = launch_.args.in;
    if (kAll) load_signal(in.u, t, launch_.wide_u, rows, shared_.signals[0]);
    load_signal(in.dt, t, launch_.wide_dt, rows, shared_.dt);
    if (!in.z.absent()) load_signal(in.z, t, launch_.wide_z, rows, shared_.signals[1]);
    load_signal(launch_.args.dy, t, launch_.wide_dy, rows, shared_.signals[2]);
    if (kAll) load_input(in.B, t, launch_.wide_B, rows, shared_.raw_inputs[0]);
    load_input(in.C, t, launch_.wide_C, rows, shared_.raw_inputs[1]);
    if (!kAll) return;
    const View<const float, 4>& states = launch_.args.states;
    const int state = static_cast<int>(states.extent(2));
    for (int i = threadIdx.x; i < kPadded * kWidth; i += kSelectiveThreads) {
      const int n = i / kWidth, c = i % kWidth;
      if (n >= state || c >= width_) shared_.kept[n][c] = 0.0f;
    }
    load_some(&states(place().b, t / kSteps, int64_t{0}, place().first), states.stride(2),
              states.stride(3), state, width_, launch_.wide_states, shared_.kept);
  }
  __device__ void load_signal(const View<const T, 3>& x, int64_t t, bool wide, int rows,
                              T (*to)[kWidth]) const {
    load_some(&x(place().b, t, place().first), x.stride(1), x.stride(2), rows, width_, wide, to);
  }
  __device__ void load_input(const View<const T, 4>& x, int64_t t, bool wide, int rows,
                             T (*to)[kPadded]) const {
    load_some(&x(place().b, t, place().group, int64_t{0}), x.stride(1), x.stride(3), rows,
              static_cast<int>(x.extent(3)), wide, to);
  }
  template <typename Number, int kCount>
  __device__ void load_some(const Number* from, int64_t row_stride, int64_t stride, int rows,
                            int count, bool wide, Number (*to)[kCount]) const {
    using Pieces = gpu::RowPieces<kSelectiveThreads, kCount, Number>;
    const int thread = threadIdx.x;
    from += Pieces::row(wide, thread) * row_stride + Pieces::column(wide, thread) * stride;
    gpu::load_rows<kSelectiveThreads>(
        gpu::RowsToLoad<Number>{from, row_stride, stride, rows, count, wide, thread}, to);
  }

  bool whole_;  // whether tiles of kSteps go in pieces
};

}  // namespace longwave::ops::selective_cuda
