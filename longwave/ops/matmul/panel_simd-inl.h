// SPDX-License-Identifier: Apache-2.0
//
// Integer dot products of rows of a panel with four columns of x, for one SIMD target; to be
// included by `_cpu.cc` files after hwy/foreach_target.h.
//
// `PanelSimd` has one form for AVX-512 with VNNI, where a vector has all rows of a panel, one for
// AVX2 and one in plain C++, where it has eight of them. A lane of Ints and Floats is a row.

#if defined(LONGWAVE_OPS_MATMUL_PANEL_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_MATMUL_PANEL_SIMD_INL_H_
#undef LONGWAVE_OPS_MATMUL_PANEL_SIMD_INL_H_
#else
#define LONGWAVE_OPS_MATMUL_PANEL_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "longwave/base/half.h"
#include "longwave/ops/matmul/dot_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

/// Four columns of x in one word.
HWY_INLINE int32_t four_of(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return four;
}

#if HWY_TARGET == HWY_AVX3_DL

struct PanelSimd : DotLanes {
  static constexpr int kLanes = 16;

  static HWY_INLINE Floats splat(float x) { return _mm512_set1_ps(x); }
  static HWY_INLINE Ints splat(int32_t x) { return _mm512_set1_epi32(x); }
  static HWY_INLINE void store(Floats v, float* to) { _mm512_store_ps(to, v); }
  static HWY_INLINE Floats scales(const uint16_t* d) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(d)));
  }

  /// Four numbers a lane.
  static HWY_INLINE Ints load(const uint8_t* q) { return _mm512_loadu_si512(q); }
  static HWY_INLINE Ints low(Ints q) { return _mm512_and_si512(q, _mm512_set1_epi8(15)); }
  static HWY_INLINE Ints high(Ints q) { return low(_mm512_srli_epi16(q, 4)); }

  /// Whole numbers of 32 bits.
  static HWY_INLINE Ints bytes(const uint8_t* at) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static HWY_INLINE Ints bytes(const int8_t* at) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static HWY_INLINE Floats floats(Ints n) { return _mm512_cvtepi32_ps(n); }
  static HWY_INLINE Ints bits(Ints n, int32_t mask) { return _mm512_and_si512(n, splat(mask)); }
  static HWY_INLINE Ints either(Ints a, Ints b) { return _mm512_or_si512(a, b); }
  template <int kBits>
  static HWY_INLINE Ints left(Ints n) {
    return _mm512_slli_epi32(n, kBits);
  }
  template <int kBits>
  static HWY_INLINE Ints right(Ints n) {
    return _mm512_srli_epi32(n, kBits);
  }
  /// c - a b
  static HWY_INLINE Floats take(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }

  /// sum + the products of n in [0, 128] and x.
  static HWY_INLINE Ints dot_unsigned(Ints sum, Ints n, Ints x) {
    return _mm512_dpbusd_epi32(sum, n, x);
  }

  /// sum + the products of q - 128 + kZeroOfQ8_0 and x.
  static constexpr int kZeroOfQ8_0 = 128;
  static HWY_INLINE Ints dot_q8(Ints sum, Ints q, Ints x) { return _mm512_dpbusd_epi32(sum, q, x); }
};

#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

struct PanelSimd : DotLanes {
  static constexpr int kLanes = 8;

  static HWY_INLINE Floats splat(float x) { return _mm256_set1_ps(x); }
  static HWY_INLINE Ints splat(int32_t x) { return _mm256_set1_epi32(x); }
  static HWY_INLINE void store(Floats v, float* to) { _mm256_store_ps(to, v); }
  static HWY_INLINE Floats scales(const uint16_t* d) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(d)));
  }

  static HWY_INLINE Ints load(const uint8_t* q) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  }
  static HWY_INLINE Ints low(Ints q) { return _mm256_and_si256(q, _mm256_set1_epi8(15)); }
  static HWY_INLINE Ints high(Ints q) { return low(_mm256_srli_epi16(q, 4)); }

  static HWY_INLINE Ints bytes(const uint8_t* at) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
  }
  static HWY_INLINE Ints bytes(const int8_t* at) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
  }
  static HWY_INLINE Floats floats(Ints n) { return _mm256_cvtepi32_ps(n); }
  static HWY_INLINE Ints bits(Ints n, int32_t mask) { return _mm256_and_si256(n, splat(mask)); }
  static HWY_INLINE Ints either(Ints a, Ints b) { return _mm256_or_si256(a, b); }
  template <int kBits>
  static HWY_INLINE Ints left(Ints n) {
    return _mm256_slli_epi32(n, kBits);
  }
  template <int kBits>
  static HWY_INLINE Ints right(Ints n) {
    return _mm256_srli_epi32(n, kBits);
  }
  static HWY_INLINE Floats take(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }

  /// Pairs are summed in 16 bits.
  static HWY_INLINE Ints dot_unsigned(Ints sum, Ints n, Ints x) {
    const __m256i pairs = _mm256_maddubs_epi16(n, x);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  static constexpr int kZeroOfQ8_0 = 0;
  static HWY_INLINE Ints dot_q8(Ints sum, Ints q, Ints x) {
    const __m256i n = _mm256_xor_si256(q, _mm256_set1_epi8(static_cast<char>(0x80)));
    return dot_unsigned(sum, _mm256_abs_epi8(n), _mm256_sign_epi8(x, n));
  }
};

#else

struct PanelSimd : DotLanes {
  static constexpr int kLanes = 8;

  struct Ints {
    uint32_t v[8];
  };
  static HWY_INLINE Floats splat(float x) { return {{x, x, x, x, x, x, x, x}}; }
  static HWY_INLINE Ints splat(int32_t value) {
    const auto x = static_cast<uint32_t>(value);
    return {{x, x, x, x, x, x, x, x}};
  }
  static HWY_INLINE Floats mul_add(const Ints& a, const Floats& b, Floats c) {
    for (int j = 0; j < 8; ++j) {
      c.v[j] += static_cast<float>(static_cast<int32_t>(a.v[j])) * b.v[j];
    }
    return c;
  }
  static HWY_INLINE void store(const Floats& v, float* to) { std::memcpy(to, v.v, sizeof v.v); }
  static HWY_INLINE Floats scales(const uint16_t* d) {
    Floats result;
    for (int j = 0; j < 8; ++j) result.v[j] = from_float16(d[j]);
    return result;
  }

  static HWY_INLINE Ints load(const uint8_t* q) {
    Ints result;
    std::memcpy(result.v, q, sizeof result.v);
    return result;
  }
  static HWY_INLINE Ints low(Ints q) {
    for (uint32_t& word : q.v) word &= 0x0f0f0f0f;
    return q;
  }
  static HWY_INLINE Ints high(Ints q) {
    for (uint32_t& word : q.v) word = word >> 4 & 0x0f0f0f0f;
    return q;
  }

  template <typename Byte>
  static HWY_INLINE Ints bytes(const Byte* at) {
    Ints result;
    for (int j = 0; j < 8; ++j) result.v[j] = static_cast<uint32_t>(static_cast<int32_t>(at[j]));
    return result;
  }
  static HWY_INLINE Floats floats(const Ints& n) {
    Floats result;
    for (int j = 0; j < 8; ++j) result.v[j] = static_cast<float>(static_cast<int32_t>(n.v[j]));
    return result;
  }
  static HWY_INLINE Ints bits(Ints n, uint32_t mask) {
    for (uint32_t& word : n.v) word &= mask;
    return n;
  }
  static HWY_INLINE Ints either(Ints a, const Ints& b) {
    for (int j = 0; j < 8; ++j) a.v[j] |= b.v[j];
    return a;
  }
  template <int kBits>
  static HWY_INLINE Ints left(Ints n) {
    for (uint32_t& word : n.v) word <<= kBits;
    return n;
  }
  template <int kBits>
  static HWY_INLINE Ints right(Ints n) {
    for (uint32_t& word : n.v) word >>= kBits;
    return n;
  }
  static HWY_INLINE Floats take(const Floats& a, const Floats& b, Floats c) {
    for (int j = 0; j < 8; ++j) c.v[j] -= a.v[j] * b.v[j];
    return c;
  }

  static HWY_INLINE Ints dot_unsigned(Ints sum, const Ints& n, const Ints& x) {
    for (int j = 0; j < 8; ++j) {
      for (int shift = 0; shift < 32; shift += 8) {
        const int32_t product = static_cast<int32_t>(n.v[j] >> shift & 255) *
                                static_cast<int8_t>(x.v[j] >> shift & 255);
        sum.v[j] += static_cast<uint32_t>(product);
      }
    }
    return sum;
  }
  static constexpr int kZeroOfQ8_0 = 128;
  static HWY_INLINE Ints dot_q8(const Ints& sum, const Ints& q, const Ints& x) {
    return dot_unsigned(sum, q, x);
  }
};

#endif

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
