// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/rows_ahead_cuda.cuh"
#include "longwave/ops/norm/norm_rows_cuda.cuh"

// Where the norm's gradient has the operands of its rows from. For each row a thread calls begin(),
// then x() and dy() of its packs, passed(), dsum() of them and sum_passed().

namespace longwave::ops::gpu {

/// From memory; of rows that are kept, all x and dy are asked for before any is used.
template <typename P, typename T, typename Y>
class NormOperands {
 public:
  static int shared_bytes(const RowNormCudaGradArgs<T, Y>&, int) { return 0; }

  __device__ NormOperands(const RowNormCudaGradArgs<T, Y>& args, int64_t) : args_(args) {}

  __device__ float2 begin(int64_t row) {
    row_ = row;
    if constexpr (P::kKeeps) {
      const int64_t channels = args_.x.extent(1);
      P::over_row(channels, [&](int i, int64_t c) { x_.packs[i] = P::load(args_.x, row, c); });
      P::over_row(channels, [&](int i, int64_t c) { dy_.packs[i] = P::load(args_.dy, row, c); });
    }
    return make_float2(args_.moments(row, 0), args_.moments(row, 1));
  }
  __device__ typename P::Pack x(int place, int64_t c) const {
    return P::kKeeps ? x_.packs[place] : P::load(args_.x, row_, c);
  }
  __device__ typename P::Pack dy(int place, int64_t c) const {
    return P::kKeeps ? dy_.packs[place] : P::load(args_.dy, row_, c);
  }
  __device__ typename P::Pack dsum(int, int64_t c) const { return P::load(args_.dsum, row_, c); }
  __device__ void passed(int64_t, int64_t) {}
  __device__ void sum_passed(int64_t, int64_t) {}

 private:
  const RowNormCudaGradArgs<T, Y>& args_;
  int64_t row_ = 0;
  typename P::Row x_, dy_;
};

/// Through shared memory: those of the next row are asked for as soon as this one's are read.
template <typename P, typename T, typename Y>
class NormOperandsAhead {
 public:
  static int shared_bytes(const RowNormCudaGradArgs<T, Y>& args, int threads) {
    const int signals = args.dsum.absent() ? 1 : 2;
    return signals * RowAhead<T, P::kPack>::bytes(threads) + RowAhead<Y, P::kPack>::bytes(threads);
  }

  __device__ NormOperandsAhead(const RowNormCudaGradArgs<T, Y>& args, int64_t row)
      : NormOperandsAhead(args, shared_memory()) {
    passed(row, row + 1);
    sum_passed(row, row + 1);
  }

  __device__ float2 begin(int64_t) {
    await_copies<1>();
    return moments_;
  }
  __device__ typename P::Pack x(int place, int64_t) const { return x_.take(place); }
  __device__ typename P::Pack dy(int place, int64_t) const { return dy_.take(place); }
  __device__ typename P::Pack dsum(int place, int64_t) const { return dsum_.take(place); }

  __device__ void passed(int64_t next, int64_t end) {
    if (next < end) {
      moments_ = make_float2(args_.moments(next, 0), args_.moments(next, 1));
      x_.fetch(P::at(args_.x, next, 0), args_.x.extent(1));
      dy_.fetch(P::at(args_.dy, next, 0), args_.x.extent(1));
    }
    close_copies();
    if (!args_.dsum.absent()) await_copies<1>();
  }
  __device__ void sum_passed(int64_t next, int64_t end) {
    if (next < end && !args_.dsum.absent()) {
      dsum_.fetch(P::at(args_.dsum, next, 0), args_.x.extent(1));
    }
    close_copies();
  }

 private:
  __device__ static std::byte* shared_memory() {
    extern __shared__ __align__(16) std::byte shared[];
    return shared;
  }
  __device__ NormOperandsAhead(const RowNormCudaGradArgs<T, Y>& args, std::byte* shared)
      : args_(args), x_(shared), dy_(shared), dsum_(shared) {}

  const RowNormCudaGradArgs<T, Y>& args_;
  RowAhead<T, P::kPack> x_;
  RowAhead<Y, P::kPack> dy_;
  RowAhead<T, P::kPack> dsum_;
  float2 moments_;
};

}  // namespace longwave::ops::gpu
