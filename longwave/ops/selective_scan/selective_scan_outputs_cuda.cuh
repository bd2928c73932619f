// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_tiles_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// The way of a tile's outputs to device memory.
template <typename T, int kStates, int kLanes, int kChannels, SelectivePass kPass,
          SelectiveWork kWork>
class Outputs : protected Tiles<T, kStates, kLanes, kChannels, kPass, kWork> {
 public:
  using Base = Tiles<T, kStates, kLanes, kChannels, kPass, kWork>;
  using Base::kSteps;
  using typename Base::Shared, typename Base::Slot;

  using Base::Base;

 protected:
  using Base::begin_, Base::b_, Base::first_, Base::width_, Base::launch_, Base::shared_;
  using Base::column, Base::first_row, Base::row_of_pass, Base::rows_from;
  using Base::kBatch, Base::kPasses, Base::kRowsAtOnce;

  // Where this thread's outputs go, and whether two channels can go at once.
  __device__ void begin_outputs() {
    const View<T, 3>& y = launch_.args.y;
    const int c = min(column(), width_ - 1);
    y_ = &y(b_, begin_, first_ + c) + first_row() * y.stride(1);
    gpu::hold(y_);
    paired_y_ = launch_.short_y && c + 1 < width_ && y.stride(2) == 1 && y.stride(1) % 2 == 0 &&
                reinterpret_cast<uintptr_t>(y_) % sizeof(gpu::Pair<T>) == 0;
  }

  // Skip and gate.
  __device__ void finish(int64_t t, int stage, Slot& slot) {
    const auto& args = launch_.args;
    const int rows = rows_from(t);
    const bool gated = !args.in.z.absent();
    const int c = column();
    const float2 skip = *reinterpret_cast<const float2*>(&shared_.skip[c]);
    if (c >= width_) return;
#pragma unroll
    for (int first = 0; first < kPasses; first += kBatch) {
      float2 out[kBatch];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int row = row_of_pass(first + i);
        const float2 y = slot.two_outputs(row, c);
        const float2 u = gpu::pair_of(shared_.raw[stage][0][row] + c);
        out[i] = make_float2(fmaf(skip.x, u.x, y.x), fmaf(skip.y, u.y, y.y));
      }
      if (gated) {
#pragma unroll
        for (int i = 0; i < kBatch; ++i) {
          const int row = row_of_pass(first + i);
          const float2 z = gpu::pair_of(shared_.raw[stage][2][row] + c);
          out[i].x *= gpu::silu(z.x), out[i].y *= gpu::silu(z.y);
        }
      }
      store(t, first, rows - first_row() - first * kRowsAtOnce, out);
    }
  }

 private:
  // The outputs of some passes from `first` on, `left` steps before the end.
  __device__ void store(int64_t t, int first, int left, const float2 (&out)[kBatch]) const {
    const int step = static_cast<int>(t - begin_) + first * kRowsAtOnce;
    if (paired_y_ && left > (kBatch - 1) * kRowsAtOnce) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        gpu::Pair<T> pair;
        gpu::narrow(out[i].x, pair.first);
        gpu::narrow(out[i].y, pair.second);
        T* const row = gpu::rows_behind(y_, step + i * kRowsAtOnce, launch_.step_bytes.y);
        *reinterpret_cast<gpu::Pair<T>*>(row) = pair;
      }
      return;
    }
    const View<T, 3>& y = launch_.args.y;
    T* row = y_ + (t - begin_ + first * kRowsAtOnce) * y.stride(1);
#pragma unroll
    for (int i = 0; i < kBatch; ++i, row += kRowsAtOnce * y.stride(1)) {
      if (i * kRowsAtOnce >= left) break;
      gpu::narrow(out[i].x, row[0]);
      if (column() + 1 < width_) gpu::narrow(out[i].y, row[y.stride(2)]);
    }
  }

  T* y_;           // this thread's part of the first outputs
  bool paired_y_;  // whether two channels can go at once
};

}  // namespace selective_cuda
}  // namespace longwave::ops
