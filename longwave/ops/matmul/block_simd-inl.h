// SPDX-License-Identifier: Apache-2.0
//
// Integer dot products of blocked weights with 8-bit activations, for one SIMD target; to be
// included by `_cpu.cc` files after hwy/foreach_target.h.
//
// `BlockSimd` has one form for AVX-512 with VNNI (64 columns a vector), one for AVX2 (32) and one
// in plain C++ (32). Lane j of Ints and Floats belongs to columns 4 j to 4 j + 3 of its step.

#if defined(LONGWAVE_OPS_MATMUL_BLOCK_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_MATMUL_BLOCK_SIMD_INL_H_
#undef LONGWAVE_OPS_MATMUL_BLOCK_SIMD_INL_H_
#else
#define LONGWAVE_OPS_MATMUL_BLOCK_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "longwave/base/half.h"
#include "longwave/ops/matmul/dot_lanes-inl.h"
#include "longwave/ops/quant/block_layout.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3_DL

struct BlockSimd : DotLanes {
  static constexpr int kColumns = 64;

  static HWY_INLINE Floats load(const float* at) { return _mm512_load_ps(at); }
  static HWY_INLINE Ints load_q(const int8_t* at) { return _mm512_load_si512(at); }
  static HWY_INLINE Ints load_offset(const int32_t* at) { return _mm512_load_si512(at); }
  static HWY_INLINE float sum(Floats v) { return _mm512_reduce_add_ps(v); }

  /// offset + the sums over groups of n x, with n in [0, 255].
  static HWY_INLINE Ints dot(Ints offset, Ints n, Ints x) {
    return _mm512_dpbusd_epi32(offset, n, x);
  }

  /// The numbers of one or two blocks; for Q8_0 plus the zero of its offsets.
  static constexpr int kZeroOfQ8_0 = 128;
  static HWY_INLINE Ints numbers(const BlockQ8_0* block, int count) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block[0].q));
    __m512i both = _mm512_castsi256_si512(low);
    if (count > 1) {
      both = _mm512_inserti64x4(
          both, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block[1].q)), 1);
    } else {
      both = _mm512_zextsi256_si512(low);
    }
    return _mm512_xor_si512(both, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static HWY_INLINE Ints dot_q8(Ints offset, Ints n, Ints x) { return dot(offset, n, x); }

  static HWY_INLINE Ints numbers(const BlockQ4_0* block, int count) {
    const __m256i first =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block[0].q)));
    __m512i both = _mm512_castsi256_si512(first);
    if (count > 1) {
      both = _mm512_inserti64x4(both,
                                _mm256_broadcastsi128_si256(
                                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(block[1].q))),
                                1);
    } else {
      both = _mm512_zextsi256_si512(first);
    }
    const __m512i shifts = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi64(both, shifts), _mm512_set1_epi8(15));
  }

  template <typename Block>
  static HWY_INLINE Floats scales(const Block* block, int count) {
    const __m128i low = _mm_set1_epi16(static_cast<int16_t>(block[0].d));
    const __m128i high = count > 1 ? _mm_set1_epi16(static_cast<int16_t>(block[1].d)) : low;
    return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
  }

  /// Step `step` of a super-block.
  static HWY_INLINE Ints numbers(const BlockQ4_K& block, int step) {
    const __m512i both = _mm512_broadcast_i64x4(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.q + 32 * step)));
    const __m512i shifts = _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi64(both, shifts), _mm512_set1_epi8(15));
  }
  static HWY_INLINE Ints numbers(const BlockQ6_K& block, int step) {
    const __m512i low = _mm512_loadu_si512(block.low + step / 2 * 64);
    const __m512i high = _mm512_broadcast_i64x4(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.high + step / 2 * 32)));
    const __m512i nibbles =
        _mm512_and_si512(step % 2 == 0 ? low : _mm512_srli_epi16(low, 4), _mm512_set1_epi8(15));
    // Bits 0 and 1 of the step's first half and 2 and 3 of its second go to bits 4 and 5.
    const __m512i pairs = step % 2 == 0
                              ? _mm512_sllv_epi64(high, _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4))
                              : _mm512_srlv_epi64(high, _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0));
    return _mm512_or_si512(nibbles, _mm512_and_si512(pairs, _mm512_set1_epi8(0x30)));
  }

  /// Scales of the sub-blocks of a super-block; for Q4_K the offsets are in the upper half.
  using SubScale = __m512;
  static HWY_INLINE SubScale open(const BlockQ4_K& block) {
    const __m128i all = std::bit_cast<__m128i>(unpack(block.scales));
    const __m128i units = _mm_loadu_si32(&block.d);
    const __m256i lanes = _mm256_set_m128i(_mm_set1_epi32(0x03020302), _mm_set1_epi32(0x01000100));
    const __m512 unit =
        _mm512_cvtph_ps(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(units), lanes));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(all)), unit);
  }
  static HWY_INLINE SubScale open(const BlockQ6_K& block) {
    const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scale));
    const __m256i d = _mm256_set1_epi16(static_cast<int16_t>(block.d));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(all)), _mm512_cvtph_ps(d));
  }
  /// Takes away what the offsets of the block are in all: `sums` are 8 of the row.
  static HWY_INLINE Floats take_offsets(SubScale scale, const float* sums, Floats total) {
    const __m512 upper = _mm512_insertf32x8(_mm512_setzero_ps(), _mm256_load_ps(sums), 1);
    return _mm512_fnmadd_ps(scale, upper, total);
  }
  /// The scales of the columns of a step.
  static HWY_INLINE Floats at_step(const BlockQ4_K&, SubScale scale, int step) {
    const __m512i lanes = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(2 * step)), scale);
  }
  static HWY_INLINE Floats at_step(const BlockQ6_K&, SubScale scale, int step) {
    const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(4 * step)), scale);
  }
};

#elif HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

struct BlockSimd : DotLanes {
  static constexpr int kColumns = 32;

  static HWY_INLINE Floats load(const float* at) { return _mm256_load_ps(at); }
  static HWY_INLINE Ints load_q(const int8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  }
  static HWY_INLINE Ints load_offset(const int32_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  }
  static HWY_INLINE float sum(Floats v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  /// Pairs are summed in 16 bits: n must be at most 128.
  static HWY_INLINE Ints dot(Ints offset, Ints n, Ints x) {
    const __m256i pairs = _mm256_maddubs_epi16(n, x);
    return _mm256_add_epi32(offset, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  static constexpr int kZeroOfQ8_0 = 0;
  static HWY_INLINE Ints numbers(const BlockQ8_0* block, int) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block->q));
  }
  static HWY_INLINE Ints dot_q8(Ints offset, Ints n, Ints x) {
    return dot(offset, _mm256_abs_epi8(n), _mm256_sign_epi8(x, n));
  }

  static HWY_INLINE Ints numbers(const BlockQ4_0* block, int) {
    const __m256i both =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block->q)));
    return _mm256_and_si256(_mm256_srlv_epi64(both, _mm256_set_epi64x(4, 4, 0, 0)),
                            _mm256_set1_epi8(15));
  }

  template <typename Block>
  static HWY_INLINE Floats scales(const Block* block, int) {
    return _mm256_set1_ps(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(block->d))));
  }

  static HWY_INLINE Ints numbers(const BlockQ4_K& block, int step) {
    const __m256i both =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.q + step / 2 * 32));
    return _mm256_and_si256(step % 2 == 0 ? both : _mm256_srli_epi16(both, 4),
                            _mm256_set1_epi8(15));
  }
  static HWY_INLINE Ints numbers(const BlockQ6_K& block, int step) {
    const int part = step % 4;
    const __m256i low = _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(block.low + step / 4 * 64 + part % 2 * 32));
    const __m256i high =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.high + step / 4 * 32));
    const __m256i nibbles =
        _mm256_and_si256(part < 2 ? low : _mm256_srli_epi16(low, 4), _mm256_set1_epi8(15));
    const __m256i pairs =
        part < 2 ? _mm256_slli_epi16(high, 4 - 2 * part) : _mm256_srli_epi16(high, 2 * part - 4);
    return _mm256_or_si256(nibbles, _mm256_and_si256(pairs, _mm256_set1_epi8(0x30)));
  }

  struct SubScale {
    alignas(32) float v[16];
  };
  static HWY_INLINE SubScale open(const BlockQ4_K& block) {
    const __m128i all = std::bit_cast<__m128i>(unpack(block.scales));
    const __m256 d = _mm256_set1_ps(from_float16(block.d));
    const __m256 dmin = _mm256_set1_ps(from_float16(block.dmin));
    SubScale scale;
    _mm256_store_ps(scale.v, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(all))));
    _mm256_store_ps(scale.v + 8, _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(
                                                         _mm_unpackhi_epi64(all, all)))));
    return scale;
  }
  static HWY_INLINE SubScale open(const BlockQ6_K& block) {
    const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scale));
    const __m256 d = _mm256_set1_ps(from_float16(block.d));
    SubScale scale;
    _mm256_store_ps(scale.v, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all))));
    _mm256_store_ps(
        scale.v + 8,
        _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(all, all)))));
    return scale;
  }
  static HWY_INLINE Floats take_offsets(const SubScale& scale, const float* sums, Floats total) {
    return _mm256_fnmadd_ps(_mm256_load_ps(scale.v + 8), _mm256_load_ps(sums), total);
  }
  static HWY_INLINE Floats at_step(const BlockQ4_K&, const SubScale& scale, int step) {
    return _mm256_broadcast_ss(scale.v + step);
  }
  static HWY_INLINE Floats at_step(const BlockQ6_K&, const SubScale& scale, int step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_broadcast_ss(scale.v + 2 * step)),
                                _mm_broadcast_ss(scale.v + 2 * step + 1), 1);
  }
};

#else

struct BlockSimd : DotLanes {
  static constexpr int kColumns = 32;

  struct Ints {
    int16_t n[32];  // numbers, or in the first 8 sums
    int32_t sum[8];
  };
  static HWY_INLINE Floats load(const float* at) {
    Floats result;
    std::memcpy(result.v, at, sizeof result.v);
    return result;
  }
  static HWY_INLINE Ints load_q(const int8_t* at) {
    Ints result;
    for (int i = 0; i < 32; ++i) result.n[i] = at[i];
    return result;
  }
  static HWY_INLINE Ints load_offset(const int32_t* at) {
    Ints result;
    std::memcpy(result.sum, at, sizeof result.sum);
    return result;
  }
  static HWY_INLINE Floats mul_add(Ints a, Floats b, Floats c) {
    for (int j = 0; j < 8; ++j) c.v[j] += static_cast<float>(a.sum[j]) * b.v[j];
    return c;
  }
  static HWY_INLINE float sum(Floats v) {
    float result = 0;
    for (int j = 0; j < 8; ++j) result += v.v[j];
    return result;
  }

  static HWY_INLINE Ints dot(Ints offset, const Ints& n, const Ints& x) {
    for (int j = 0; j < 8; ++j) {
      for (int i = 4 * j; i < 4 * j + 4; ++i) offset.sum[j] += n.n[i] * x.n[i];
    }
    return offset;
  }

  static constexpr int kZeroOfQ8_0 = 0;
  static HWY_INLINE Ints numbers(const BlockQ8_0* block, int) { return load_q(block->q); }
  static HWY_INLINE Ints dot_q8(const Ints& offset, const Ints& n, const Ints& x) {
    return dot(offset, n, x);
  }
  static HWY_INLINE Ints numbers(const BlockQ4_0* block, int) {
    Ints result;
    for (int i = 0; i < 16; ++i) result.n[i] = block->q[i] & 15;
    for (int i = 0; i < 16; ++i) result.n[i + 16] = block->q[i] >> 4;
    return result;
  }
  template <typename Block>
  static HWY_INLINE Floats scales(const Block* block, int) {
    Floats result;
    for (float& v : result.v) v = from_float16(block->d);
    return result;
  }
  static HWY_INLINE Ints numbers(const BlockQ4_K& block, int step) {
    Ints result;
    const uint8_t* q = block.q + step / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      result.n[i] = static_cast<int16_t>(q[i] >> (step % 2 * 4) & 15);
    }
    return result;
  }
  static HWY_INLINE Ints numbers(const BlockQ6_K& block, int step) {
    Ints result;
    const int part = step % 4;
    const uint8_t* low = block.low + step / 4 * 64 + part % 2 * 32;
    const uint8_t* high = block.high + step / 4 * 32;
    for (int i = 0; i < 32; ++i) {
      result.n[i] =
          static_cast<int16_t>((low[i] >> (part / 2 * 4) & 15) | (high[i] >> (2 * part) & 3) << 4);
    }
    return result;
  }
  struct SubScale {
    float v[16];
  };
  static HWY_INLINE SubScale open(const BlockQ4_K& block) {
    const SubScales sub = unpack(block.scales);
    const float d = from_float16(block.d), dmin = from_float16(block.dmin);
    SubScale scale;
    for (int s = 0; s < 8; ++s) scale.v[s] = d * static_cast<float>(sub.scale[s]);
    for (int s = 0; s < 8; ++s) scale.v[s + 8] = dmin * static_cast<float>(sub.least[s]);
    return scale;
  }
  static HWY_INLINE SubScale open(const BlockQ6_K& block) {
    const float d = from_float16(block.d);
    SubScale scale;
    for (int s = 0; s < 16; ++s) scale.v[s] = d * static_cast<float>(block.scale[s]);
    return scale;
  }
  static HWY_INLINE Floats take_offsets(const SubScale& scale, const float* sums, Floats total) {
    for (int s = 0; s < 8; ++s) total.v[s] -= scale.v[s + 8] * sums[s];
    return total;
  }
  static HWY_INLINE Floats at_step(const BlockQ4_K&, const SubScale& scale, int step) {
    Floats result;
    for (float& v : result.v) v = scale.v[step];
    return result;
  }
  static HWY_INLINE Floats at_step(const BlockQ6_K&, const SubScale& scale, int step) {
    Floats result;
    for (int j = 0; j < 8; ++j) result.v[j] = scale.v[2 * step + j / 4];
    return result;
  }
};

#endif

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
