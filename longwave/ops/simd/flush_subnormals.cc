// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/simd/flush_subnormals.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace longwave::ops {
namespace {

#if defined(__SSE2__)
// Flush to zero and denormals are zero.
constexpr uint64_t kFlush = 0x8040;
uint64_t control() { return _mm_getcsr(); }
void set_control(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr uint64_t kFlush = uint64_t{1} << 24;
uint64_t control() {
  uint64_t mode = 0;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void set_control(uint64_t mode) { asm volatile("msr fpcr, %0" ::"r"(mode)); }
#else
constexpr uint64_t kFlush = 0;
uint64_t control() { return 0; }
void set_control(uint64_t) {}
#endif

}  // namespace

FlushSubnormals::FlushSubnormals() : former_(control()) { set_control(former_ | kFlush); }

FlushSubnormals::~FlushSubnormals() { set_control(former_); }

}  // namespace longwave::ops
