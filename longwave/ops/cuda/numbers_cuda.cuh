// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "longwave/ops/cuda/shared_address_cuda.cuh"

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

__device__ inline float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
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

/// The same of pairs side by side, so that latencies overlap.
template <int kCount>
__device__ void softplus(float2 (&x)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = make_float2(softplus(x[i].x), softplus(x[i].y));
}

__device__ inline float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline float sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(-x * kLog2E)); }
__device__ inline float silu(float x) { return x * sigmoid(x); }

/// d softplus / dx, from softplus(x): 1 - e^-s, whole for small s too.
__device__ inline float softplus_slope(float s) {
  const float whole = 1.0f - exp2_fast(-s * kLog2E);
  float part = fmaf(s, -1.0f / 720, 1.0f / 120);
  part = fmaf(s, part, -1.0f / 24);
  part = fmaf(s, part, 1.0f / 6);
  part = fmaf(s, part, -0.5f);
  return s < 0.25f ? fmaf(s * s, part, s) : whole;
}

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
// A bfloat16 is the upper half of a float32: one instruction each.
__device__ inline float2 pair_of(const __nv_bfloat16* two) {
  const uint32_t both = *reinterpret_cast<const uint32_t*>(two);
  return make_float2(__uint_as_float(both << 16), __uint_as_float(both & 0xffff0000u));
}

__device__ inline void copy_16_bytes(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(global)
               : "memory");
}
__device__ inline void copy_4_bytes(void* shared, const void* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(shared)), "l"(global)
               : "memory");
}
__device__ inline void finish_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

/// A number that another block may write; what that block wrote before it can be seen behind.
__device__ inline uint32_t read_acquire(const uint32_t* from) {
  uint32_t x;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(x) : "l"(from) : "memory");
  return x;
}
__device__ inline void write_release(uint32_t* to, uint32_t x) {
  __threadfence();
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(x) : "memory");
}

/// Reads numbers four at a time; they begin at a multiple of 16 bytes.
template <int kCount>
__device__ void read_fours(const float* from, float (&to)[kCount]) {
  static_assert(kCount % 4 == 0);
#pragma unroll
  for (int n = 0; n < kCount; n += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + n);
    to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
  }
}

/// Which elements of rows of kCount a thread of kThreads copies into a tile in shared memory.
template <int kThreads, int kCount, typename T>
struct RowPieces {
  static constexpr int kWide = 16 / sizeof(T);  // elements that are copied at once
  static constexpr bool kInPieces =
      kCount % kWide == 0 && kThreads % ((kCount + kWide - 1) / kWide) == 0;
  static constexpr int kPieces = kInPieces ? kCount / kWide : 1;
  static constexpr int kColumns = kCount < kThreads ? kCount : kThreads;
  static_assert(kThreads % kColumns == 0);

  __device__ static int row(bool wide, int thread) {
    return thread / (kInPieces && wide ? kPieces : kColumns);
  }
  __device__ static int column(bool wide, int thread) {
    return kInPieces && wide ? thread % kPieces * kWide : thread % kColumns;
  }
};

/// Rows on their way from device memory to a tile.
template <typename T>
struct RowsToLoad {
  const T* from;  // the thread's first piece: RowPieces::row and column of the tile
  int64_t row_stride, stride;
  int rows, count;  // of them, and elements of each that are there
  bool wide;        // whether they can be copied 16 bytes at a time
  int thread;       // which of kThreads this one is
};

/// Keeps the compiler from finding a place again wherever it is used.
template <typename T>
__device__ void hold(T*& place) {
  asm("" : "+l"(place));
}

/// The place in device memory so many rows behind another: one instruction with 32 bits of both
/// factors, which the compiler does not take from 64-bit ones by itself.
template <typename T>
__device__ T* rows_behind(T* from, int rows, int row_bytes) {
  T* place;
  asm volatile("mad.wide.s32 %0, %1, %2, %3;" : "=l"(place) : "r"(rows), "r"(row_bytes), "l"(from));
  __builtin_assume(__isGlobal(place));
  return place;
}

/// Sends kRows whole rows on their way, 16 bytes at a time, those from `begin` on; finish_copies()
/// waits for them. `from` is the thread's first piece of row 0.
template <int kThreads, int kRows, int kCount, typename T>
__device__ void load_whole_rows(const T* from, int begin, int row_bytes, int thread,
                                T (*to)[kCount]) {
  using Pieces = RowPieces<kThreads, kCount, T>;
  constexpr int kAtOnce = kThreads / Pieces::kPieces;
  const int column = Pieces::column(true, thread), first = Pieces::row(true, thread);
  static_assert(kRows % kAtOnce == 0 || kRows < kAtOnce);
  if (kRows < kAtOnce && first >= kRows) return;
#pragma unroll
  for (int row = 0; row < kRows; row += kAtOnce) {
    copy_16_bytes(&to[first + row][column], rows_behind(from, begin + row, row_bytes));
  }
}

/// Sends rows on their way; finish_copies() waits for the caller's part.
template <int kThreads, int kCount, typename T>
__device__ void load_rows(const RowsToLoad<T>& load, T (*to)[kCount]) {
  using Pieces = RowPieces<kThreads, kCount, T>;
  const T* from = load.from;
  if constexpr (Pieces::kInPieces) {
    if (load.wide) {
      constexpr int kAtOnce = kThreads / Pieces::kPieces;
      const int column = Pieces::column(true, load.thread);
      const int rows = column < load.count ? load.rows : 0;
#pragma unroll 1
      for (int row = Pieces::row(true, load.thread); row < rows; row += kAtOnce) {
        copy_16_bytes(&to[row][column], from);
        from += kAtOnce * load.row_stride;
      }
      return;
    }
  }
  constexpr int kAtOnce = kThreads / Pieces::kColumns;
#pragma unroll 1
  for (int row = Pieces::row(false, load.thread); row < load.rows; row += kAtOnce) {
#pragma unroll 1
    for (int i = 0, column = Pieces::column(false, load.thread); column < load.count;
         ++i, column += Pieces::kColumns) {
      to[row][column] = from[i * Pieces::kColumns * load.stride];
    }
    from += kAtOnce * load.row_stride;
  }
}

/// Rows in float32, zeros beyond the `rows` and `count` that are there; a thread's part of them.
/// kWhole: all are there.
template <int kThreads, int kRows, bool kWhole = false, int kCount, typename T>
__device__ void widen_rows(const T (*from)[kCount], int rows, int count, float (*to)[kCount],
                           int thread) {
  constexpr int kQuads = kCount / 4, kTurns = (kRows * kQuads + kThreads - 1) / kThreads;
  static_assert(kCount % 4 == 0);
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int i = thread + turn * kThreads;
    if (kRows * kQuads % kThreads != 0 && i >= kRows * kQuads) break;
    const int row = i / kQuads, n = i % kQuads * 4;
    const int left = kWhole ? 4 : row < rows ? count - n : 0;
    const float2 a = pair_of(&from[row][n]), b = pair_of(&from[row][n + 2]);
    *reinterpret_cast<float4*>(&to[row][n]) = make_float4(
        left > 0 ? a.x : 0.0f, left > 1 ? a.y : 0.0f, left > 2 ? b.x : 0.0f, left > 3 ? b.y : 0.0f);
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
