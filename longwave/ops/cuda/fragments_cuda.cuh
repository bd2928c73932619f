// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"

namespace longwave::ops::gpu {

// Matrix products of a warp on tensor cores, for float, __half and __nv_bfloat16 alike. With
// g = lane / 4 and k = 2 (lane % 4), a lane holds
//
//   of a left factor, 16 x 16     (g, k..), (g + 8, k..), (g, k + 8..), (g + 8, k + 8..)
//   of a right factor, 16 x 8     (k.., g), (k + 8.., g)
//   of a sum, 16 x 8              (g, k..), (g + 8, k..)
//
// where .. is a pair of neighbours. float32 runs as three products of parts of 11 bits, which is
// about as exact as float32; subnormals of the operands count as zero there.

/// Two neighbours of a factor.
template <typename T>
struct FactorPair {
  uint32_t bits;
};
template <>
struct FactorPair<float> {
  float first, second;
};

template <typename T>
struct LeftFactor {
  FactorPair<T> pairs[4];
};
template <typename T>
struct RightFactor {
  FactorPair<T> pairs[2];
};

__device__ inline FactorPair<float> factor_pair(float, float2 x) { return {x.x, x.y}; }
__device__ inline FactorPair<__half> factor_pair(__half, float2 x) {
  const __half2 pair = __float22half2_rn(x);
  return {*reinterpret_cast<const uint32_t*>(&pair)};
}
__device__ inline FactorPair<__nv_bfloat16> factor_pair(__nv_bfloat16, float2 x) {
  const __nv_bfloat162 pair = __float22bfloat162_rn(x);
  return {*reinterpret_cast<const uint32_t*>(&pair)};
}

__device__ inline float2 numbers_of(FactorPair<float> x) { return make_float2(x.first, x.second); }
__device__ inline float2 numbers_of(FactorPair<__half> x) {
  return __half22float2(*reinterpret_cast<const __half2*>(&x.bits));
}
__device__ inline float2 numbers_of(FactorPair<__nv_bfloat16> x) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&x.bits));
}

__device__ inline int lane_row() { return threadIdx.x % 32 / 4; }
__device__ inline int lane_column() { return threadIdx.x % 4 * 2; }

/// A left factor from rows of shared memory, element (row, k) at from[row stride + k].
template <int kStride, typename T>
__device__ LeftFactor<T> left_factor(const T* from) {
  LeftFactor<T> x;
  if constexpr (sizeof(T) == 2) {
    const int lane = threadIdx.x % 32;
    uint32_t bits[4];
    load_matrices(from + lane % 16 * kStride + lane / 16 * 8, bits);
#pragma unroll
    for (int i = 0; i < 4; ++i) x.pairs[i].bits = bits[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* two = from + (lane_row() + i % 2 * 8) * kStride + lane_column() + i / 2 * 8;
      x.pairs[i] = {two[0], two[1]};
    }
  }
  return x;
}

/// A left factor that lies transposed, element (row, k) at from[k stride + row].
template <int kStride, typename T>
__device__ LeftFactor<T> left_factor_transposed(const T* from) {
  LeftFactor<T> x;
  if constexpr (sizeof(T) == 2) {
    const int lane = threadIdx.x % 32;
    uint32_t bits[4];
    load_transposed_matrices(from + (lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8, bits);
#pragma unroll
    for (int i = 0; i < 4; ++i) x.pairs[i].bits = bits[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* two = from + (lane_column() + i / 2 * 8) * kStride + lane_row() + i % 2 * 8;
      x.pairs[i] = {two[0], two[kStride]};
    }
  }
  return x;
}

/// Two right factors, of columns 0 to 7 and 8 to 15, element (k, column) at from[column stride +
/// k].
template <int kStride, typename T>
__device__ void right_factors(const T* from, RightFactor<T> (&x)[2]) {
  if constexpr (sizeof(T) == 2) {
    const int lane = threadIdx.x % 32;
    uint32_t bits[4];
    load_matrices(from + (lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8, bits);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i / 2].pairs[i % 2].bits = bits[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* two = from + (lane_row() + i / 2 * 8) * kStride + lane_column() + i % 2 * 8;
      x[i / 2].pairs[i % 2] = {two[0], two[1]};
    }
  }
}

/// Two right factors that lie transposed, element (k, column) at from[k stride + column].
template <int kStride, typename T>
__device__ void right_factors_transposed(const T* from, RightFactor<T> (&x)[2]) {
  if constexpr (sizeof(T) == 2) {
    const int lane = threadIdx.x % 32;
    uint32_t bits[4];
    load_transposed_matrices(from + lane % 16 * kStride + lane / 16 * 8, bits);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i / 2].pairs[i % 2].bits = bits[i];
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* two = from + (lane_column() + i % 2 * 8) * kStride + lane_row() + i / 2 * 8;
      x[i / 2].pairs[i % 2] = {two[0], two[kStride]};
    }
  }
}

/// Two sums, of columns 0 to 7 and 8 to 15, as a left factor.
template <typename T>
__device__ LeftFactor<T> left_factor_of(const float (&low)[4], const float (&high)[4]) {
  LeftFactor<T> x;
  x.pairs[0] = factor_pair(T(), make_float2(low[0], low[1]));
  x.pairs[1] = factor_pair(T(), make_float2(low[2], low[3]));
  x.pairs[2] = factor_pair(T(), make_float2(high[0], high[1]));
  x.pairs[3] = factor_pair(T(), make_float2(high[2], high[3]));
  return x;
}

/// The left factor with column k times weights[k].
template <typename T>
__device__ void scale_columns(const float* weights, LeftFactor<T>& x) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 by = *reinterpret_cast<const float2*>(weights + lane_column() + i / 2 * 8);
    const float2 numbers = numbers_of(x.pairs[i]);
    x.pairs[i] = factor_pair(T(), make_float2(numbers.x * by.x, numbers.y * by.y));
  }
}

/// sum += a b.
template <typename T>
__device__ void add_product(const LeftFactor<T>& a, const RightFactor<T>& b, float (&sum)[4]) {
  if constexpr (sizeof(T) == 2) {
    const uint32_t left[4] = {a.pairs[0].bits, a.pairs[1].bits, a.pairs[2].bits, a.pairs[3].bits};
    const uint32_t right[2] = {b.pairs[0].bits, b.pairs[1].bits};
    multiply_add(T(), left, right, sum);
  } else {
    // The order of k is free: a lane's pairs stand for k and k + 4 of products over 8.
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const FactorPair<T>* two = a.pairs + 2 * half;
      const FactorPair<T> one = b.pairs[half];
      const float left[4] = {two[0].first, two[1].first, two[0].second, two[1].second};
      const float right[2] = {one.first, one.second};
      uint32_t left_high[4], left_low[4], right_high[2], right_low[2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        left_high[i] = to_tf32(left[i]);
        left_low[i] = to_tf32(left[i] - __uint_as_float(left_high[i]));
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        right_high[i] = to_tf32(right[i]);
        right_low[i] = to_tf32(right[i] - __uint_as_float(right_high[i]));
      }
      multiply_add_tf32(left_low, right_high, sum);
      multiply_add_tf32(left_high, right_low, sum);
      multiply_add_tf32(left_high, right_high, sum);
    }
  }
}

/// A tile on its way from device memory to shared memory.
template <typename T>
struct TileToLoad {
  const T* from;
  int64_t row_stride, stride;
  int rows, count;  // of them, and elements of each that are there; the rest becomes zero
  bool wide;        // whether rows can be copied 16 bytes at a time
};

/// Numbers between rows of a tile in shared memory, so that eight rows lie in different banks.
template <typename T>
inline constexpr int kTilePadding = 16 / static_cast<int>(sizeof(T));

/// Sends a tile of kRows x kCount on its way with the whole block.
template <int kRows, int kCount, typename T>
__device__ void load_tile(const TileToLoad<T>& tile, T* to) {
  constexpr int kStride = kCount + kTilePadding<T>;
  constexpr int kWide = 16 / static_cast<int>(sizeof(T)), kPieces = kCount / kWide;
  if (kPieces <= 32 && tile.wide) {
    // Each thread keeps to one column.
    const int column = threadIdx.x % kPieces * kWide, rows = blockDim.x / kPieces;
    const int first = threadIdx.x / kPieces, there = column < tile.count ? tile.rows : 0;
    const T* from = tile.from + first * tile.row_stride + column;
    const int64_t from_step = rows * tile.row_stride;
    T* at = to + first * kStride + column;
    for (int row = first; row < kRows; row += rows, from += from_step, at += rows * kStride) {
      copy_16_bytes_or_zero(at, row < there ? from : tile.from, row < there);
    }
    return;
  }
  if (tile.wide) {
    for (int i = threadIdx.x; i < kRows * kPieces; i += blockDim.x) {
      const int row = i / kPieces, column = i % kPieces * kWide;
      const bool there = row < tile.rows && column < tile.count;
      copy_16_bytes_or_zero(to + row * kStride + column,
                            tile.from + (there ? row * tile.row_stride + column : 0), there);
    }
    return;
  }
  for (int i = threadIdx.x; i < kRows * kCount; i += blockDim.x) {
    const int row = i / kCount, column = i % kCount;
    const bool there = row < tile.rows && column < tile.count;
    T number{};
    if (there) number = tile.from[row * tile.row_stride + column * tile.stride];
    to[row * kStride + column] = number;
  }
}

}  // namespace longwave::ops::gpu
