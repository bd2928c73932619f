// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace longwave::ops::gpu {

/// Two bfloat16 in a register, the first one in the lower half: what tensor cores take.
__device__ inline uint32_t halves(float first, float second) {
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  return both;
}
__device__ inline float first_half(uint32_t both) { return __uint_as_float(both << 16); }
__device__ inline float second_half(uint32_t both) { return __uint_as_float(both & 0xffff0000u); }

/// Two numbers, each as a sum of two bfloat16: within 2^-18 of its magnitude.
struct SplitPair {
  uint32_t high, low;
};
__device__ inline SplitPair split(float first, float second) {
  const uint32_t high = halves(first, second);
  return {high, halves(first - first_half(high), second - second_half(high))};
}

/// x times two bfloat16 of so few bits that the product of a bfloat16 with them is the sum of two:
/// of 8, such as integers up to 256 and these over a power of two. Within 2^-15 of its magnitude.
__device__ inline SplitPair times(SplitPair x, uint32_t y) {
  const auto fused = [](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
  };
  constexpr uint32_t kSigns = 0x80008000u;
  const uint32_t high = fused(x.high, y, kSigns);
  return {high, fused(x.low, y, fused(x.high, y, high ^ kSigns))};
}

}  // namespace longwave::ops::gpu
