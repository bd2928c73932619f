// SPDX-License-Identifier: Apache-2.0
//
// The vectors of integer dot products for one SIMD target, and what is done with all of them; to be
// included by `_cpu.cc` files after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_MATMUL_DOT_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_MATMUL_DOT_LANES_INL_H_
#undef LONGWAVE_OPS_MATMUL_DOT_LANES_INL_H_
#else
#define LONGWAVE_OPS_MATMUL_DOT_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include "longwave/ops/matmul/vnni_target-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3_DL

struct DotLanes {
  using Ints = __m512i;
  using Floats = __m512;

  static HWY_INLINE Floats zero() { return _mm512_setzero_ps(); }
  static HWY_INLINE Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static HWY_INLINE Floats mul_add(Ints a, Floats b, Floats c) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(a), b, c);
  }
};

#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

struct DotLanes {
  using Ints = __m256i;
  using Floats = __m256;

  static HWY_INLINE Floats zero() { return _mm256_setzero_ps(); }
  static HWY_INLINE Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static HWY_INLINE Floats mul_add(Ints a, Floats b, Floats c) {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(a), b, c);
  }
};

#else

struct DotLanes {
  struct Floats {
    float v[8];
  };

  static HWY_INLINE Floats zero() { return {}; }
  static HWY_INLINE Floats mul(Floats a, const Floats& b) {
    for (int j = 0; j < 8; ++j) a.v[j] *= b.v[j];
    return a;
  }
};

#endif

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
