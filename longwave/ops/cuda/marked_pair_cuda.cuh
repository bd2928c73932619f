// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops::gpu {

/// Two numbers that another block may write, each with a mark that comes with it.
struct alignas(16) MarkedPair {
  float first;
  uint32_t first_mark;
  float second;
  uint32_t second_mark;
};
__device__ inline MarkedPair read_marked(const MarkedPair* from) {
  uint64_t first, second;
  asm volatile("ld.relaxed.gpu.global.v2.u64 {%0, %1}, [%2];"
               : "=l"(first), "=l"(second)
               : "l"(from)
               : "memory");
  return {__uint_as_float(static_cast<uint32_t>(first)), static_cast<uint32_t>(first >> 32),
          __uint_as_float(static_cast<uint32_t>(second)), static_cast<uint32_t>(second >> 32)};
}
__device__ inline void write_marked(MarkedPair* to, float first, float second, uint32_t mark) {
  const uint64_t high = static_cast<uint64_t>(mark) << 32;
  asm volatile("st.relaxed.gpu.global.v2.u64 [%0], {%1, %2};" ::"l"(to),
               "l"(high | __float_as_uint(first)), "l"(high | __float_as_uint(second))
               : "memory");
}

}  // namespace longwave::ops::gpu
