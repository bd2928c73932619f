// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace longwave::ops::gpu {

inline constexpr float kLog2E = 1.44269504088896340736f;
inline constexpr float kLn2 = 0.69314718055994530942f;

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(__half x) { return __half2float(x); }
__device__ inline float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void narrow(float x, float& y) { y = x; }
__device__ inline void narrow(float x, __half& y) { y = __float2half_rn(x); }
__device__ inline void narrow(float x, __nv_bfloat16& y) { y = __float2bfloat16_rn(x); }

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// log(1 + e^x), whole: log1p on [0, 1] is a polynomial, within 1.2e-7 of the value.
__device__ inline float softplus(float x) {
  const float minus = -fabsf(x), scaled = minus * kLog2E;
  const float rest = fmaf(minus, kLog2E, -scaled);
  const float power = exp2_fast(scaled), e = fmaf(power, rest * kLn2, power);
  constexpr float kTerms[] = {-0.00317605701f, 0.0195425265f, -0.0563736111f, 0.105436236f,
                              -0.152696669f,   0.196632743f,  -0.249516159f,  0.333297104f,
                              -0.499998927f,   1.0f};
  float sum = kTerms[0];
#pragma unroll
  for (int i = 1; i < 10; ++i) sum = fmaf(sum, e, kTerms[i]);
  return fmaf(sum, e, fmaxf(x, 0.0f));
}

__device__ inline float sigmoid(float x) { return __fdividef(1.0f, 1.0f + exp2_fast(-x * kLog2E)); }
__device__ inline float silu(float x) { return x * sigmoid(x); }

/// d silu / dx, from x and its sigmoid.
__device__ inline float silu_slope(float x, float sigmoid) {
  return sigmoid * fmaf(x, 1.0f - sigmoid, 1.0f);
}

/// Two neighbours, read or written at once.
template <typename T>
struct alignas(2 * sizeof(T)) Pair {
  T first, second;
};

template <typename T>
__device__ float2 pair_of(const T* two) {
  const Pair<T> pair = *reinterpret_cast<const Pair<T>*>(two);
  return make_float2(widen(pair.first), widen(pair.second));
}

__device__ inline void copy_16_bytes(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
}
__device__ inline void finish_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

/// Rows on their way from device memory to a tile in shared memory.
template <typename T>
struct RowsToLoad {
  const T* from;
  int64_t row_stride, stride;
  int rows, count;  // of them, and elements of each that are there
  bool wide;        // whether they can be copied 16 bytes at a time
};

/// Sends rows on their way with a block of kThreads; finish_copies() waits for the caller's part.
template <int kThreads, int kCount, typename T>
__device__ void load_rows(const RowsToLoad<T>& load, T (*to)[kCount]) {
  constexpr int kWide = 16 / sizeof(T);
  if constexpr (kCount % kWide == 0 && kThreads % ((kCount + kWide - 1) / kWide) == 0) {
    if (load.wide) {
      constexpr int kPieces = kCount / kWide, kRows = kThreads / kPieces;
      const int column = threadIdx.x % kPieces * kWide;
      if (column >= load.count) return;
      int row = threadIdx.x / kPieces;
      const T* from = load.from + row * load.row_stride + column;
      for (; row < load.rows; row += kRows, from += kRows * load.row_stride) {
        copy_16_bytes(&to[row][column], from);
      }
      return;
    }
  }
  for (int i = threadIdx.x; i < load.rows * kCount; i += kThreads) {
    const int row = i / kCount, column = i % kCount;
    if (column < load.count) {
      to[row][column] = load.from[row * load.row_stride + column * load.stride];
    }
  }
}

/// Adds a number up over a warp; all lanes get the sum.
__device__ inline float add_over_warp(float sum) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
  return sum;
}

/// Adds numbers up over the lanes of a warp that differ in the bits kMask, kMask / 2, ..., kLast.
///
/// Lanes share what remains: while there is more than one number, each bit halves them, and lanes
/// with the bit keep the upper half. A lane ends with those from place_of_sum on.
template <int kCount, int kMask, int kLast, int kSize>
__device__ void add_lanes(float (&y)[kSize]) {
  if constexpr (kMask >= kLast && kMask > 0 && kCount > 1) {
    const bool upper = (threadIdx.x & kMask) != 0;
#pragma unroll
    for (int j = 0; j < kCount / 2; ++j) {
      const float sent = upper ? y[j] : y[j + kCount / 2];
      const float kept = upper ? y[j + kCount / 2] : y[j];
      y[j] = kept + __shfl_xor_sync(0xffffffffu, sent, kMask);
    }
    add_lanes<kCount / 2, kMask / 2, kLast>(y);
  } else if constexpr (kMask >= kLast && kMask > 0) {
    y[0] += __shfl_xor_sync(0xffffffffu, y[0], kMask);
    add_lanes<1, kMask / 2, kLast>(y);
  }
}

/// The first of the sums that add_lanes<kCount, kMask, kLast> leaves in this lane.
template <int kCount, int kMask, int kLast>
__device__ int place_of_sum() {
  if constexpr (kMask >= kLast && kMask > 0 && kCount > 1) {
    const int upper = (threadIdx.x & kMask) != 0 ? kCount / 2 : 0;
    return upper + place_of_sum<kCount / 2, kMask / 2, kLast>();
  } else {
    return 0;
  }
}

}  // namespace longwave::ops::gpu
