// SPDX-License-Identifier: Apache-2.0
//
// Products of a block of columns of panels with rows of x, for one SIMD target and each type that
// has panels; to be included by `_cpu.cc` files after hwy/foreach_target.h.
//
// `add_block` adds the block of `Parts` parts of panels with `Rows` rows of x to their totals. A
// part is the rows from `lane` on that a vector has.

#if defined(LONGWAVE_OPS_MATMUL_PANEL_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_MATMUL_PANEL_BLOCKS_INL_H_
#undef LONGWAVE_OPS_MATMUL_PANEL_BLOCKS_INL_H_
#else
#define LONGWAVE_OPS_MATMUL_PANEL_BLOCKS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "longwave/ops/matmul/panel_simd-inl.h"
#include "longwave/ops/matmul/rounded_columns.h"
#include "longwave/ops/quant/panels.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

using Ints = PanelSimd::Ints;
using Floats = PanelSimd::Floats;

/// Columns of a block.
constexpr int columns_of(const PanelQ8_0*) { return 32; }
constexpr int columns_of(const PanelQ4_0*) { return 32; }
constexpr int columns_of(const PanelQ4_K*) { return 256; }
constexpr int columns_of(const PanelQ6_K*) { return 256; }

/// Sets all sums of a row to -zero times the sum of x in `halves` times 16 columns.
template <int Rows, int Parts>
HWY_INLINE void start_sums(const RoundedColumns (&x)[Rows], int64_t column, int halves,
                           int32_t zero, Ints (&sums)[Rows][Parts]) {
  for (int r = 0; r < Rows; ++r) {
    int32_t sum = 0;
    for (int i = 0; i < halves; ++i) sum += x[r].sum[column / 16 + i];
    const Ints offset = PanelSimd::splat(-zero * sum);
    for (auto& part : sums[r]) part = offset;
  }
}

/// Adds sums of up to 32 columns to the totals, times the scales of both sides.
template <int Rows, int Parts>
HWY_INLINE void add_sums(const RoundedColumns (&x)[Rows], int64_t column,
                         const Ints (&sums)[Rows][Parts], const Floats (&scale)[Parts],
                         Floats (&total)[Rows][Parts]) {
  for (int r = 0; r < Rows; ++r) {
    const Floats x_scale = PanelSimd::splat(x[r].scale[column / 32]);
    for (int p = 0; p < Parts; ++p) {
      const Floats both = PanelSimd::mul(scale[p], x_scale);
      total[r][p] = PanelSimd::mul_add(sums[r][p], both, total[r][p]);
    }
  }
}

/// Adds the products of numbers without a sign and four columns of x.
template <int Rows, int Parts>
HWY_INLINE void add_four(const RoundedColumns (&x)[Rows], int64_t column, const Ints (&n)[Parts],
                         Ints (&sums)[Rows][Parts]) {
  for (int r = 0; r < Rows; ++r) {
    const Ints four = PanelSimd::splat(four_of(x[r].q + column));
    for (int p = 0; p < Parts; ++p) sums[r][p] = PanelSimd::dot_unsigned(sums[r][p], n[p], four);
  }
}

template <int Rows, int Parts>
HWY_INLINE void add_block(const RoundedColumns (&x)[Rows], int64_t column,
                          const PanelQ8_0* const (&w)[Parts], const int (&lane)[Parts],
                          Floats (&total)[Rows][Parts]) {
  Ints sums[Rows][Parts];
  start_sums(x, column, 2, PanelSimd::kZeroOfQ8_0, sums);
  for (int j = 0; j < 8; ++j) {
    Ints q[Parts];
    for (int p = 0; p < Parts; ++p) q[p] = PanelSimd::load(w[p]->q[j][lane[p]]);
    for (int r = 0; r < Rows; ++r) {
      const Ints four = PanelSimd::splat(four_of(x[r].q + column + 4 * j));
      for (int p = 0; p < Parts; ++p) sums[r][p] = PanelSimd::dot_q8(sums[r][p], q[p], four);
    }
  }
  Floats scale[Parts];
  for (int p = 0; p < Parts; ++p) scale[p] = PanelSimd::scales(w[p]->d + lane[p]);
  add_sums(x, column, sums, scale, total);
}

template <int Rows, int Parts>
HWY_INLINE void add_block(const RoundedColumns (&x)[Rows], int64_t column,
                          const PanelQ4_0* const (&w)[Parts], const int (&lane)[Parts],
                          Floats (&total)[Rows][Parts]) {
  Ints sums[Rows][Parts];
  start_sums(x, column, 2, 8, sums);
  for (int j = 0; j < 4; ++j) {
    Ints low[Parts], high[Parts];
    for (int p = 0; p < Parts; ++p) {
      const Ints both = PanelSimd::load(w[p]->q[j][lane[p]]);
      low[p] = PanelSimd::low(both);
      high[p] = PanelSimd::high(both);
    }
    add_four(x, column + 4 * j, low, sums);
    add_four(x, column + 4 * j + 16, high, sums);
  }
  Floats scale[Parts];
  for (int p = 0; p < Parts; ++p) scale[p] = PanelSimd::scales(w[p]->d + lane[p]);
  add_sums(x, column, sums, scale, total);
}

/// The scales and offsets of the sub-blocks of a part.
struct SubBlocks {
  Floats scale[8], least[8];

  HWY_INLINE void open(const PanelQ4_K& panel, int lane) {
    const Floats d = PanelSimd::scales(panel.d + lane), dmin = PanelSimd::scales(panel.dmin + lane);
    const auto times = [](Floats unit, Ints n)
                           HWY_ATTR { return PanelSimd::mul(unit, PanelSimd::floats(n)); };
    for (int s = 0; s < 4; ++s) {
      const Ints a = PanelSimd::bytes(panel.scales[s] + lane);
      const Ints b = PanelSimd::bytes(panel.scales[s + 4] + lane);
      const Ints c = PanelSimd::bytes(panel.scales[s + 8] + lane);
      scale[s] = times(d, PanelSimd::bits(a, 63));
      least[s] = times(dmin, PanelSimd::bits(b, 63));
      const Ints a_top = PanelSimd::bits(PanelSimd::right<2>(a), 48);
      const Ints b_top = PanelSimd::bits(PanelSimd::right<2>(b), 48);
      scale[s + 4] = times(d, PanelSimd::either(PanelSimd::bits(c, 15), a_top));
      least[s + 4] = times(dmin, PanelSimd::either(PanelSimd::right<4>(c), b_top));
    }
  }
};

/// Adds a sub-block's sums and takes away its offsets.
template <int Rows, int Parts>
HWY_INLINE void add_sub_block(const RoundedColumns (&x)[Rows], int64_t column, int s,
                              const SubBlocks (&sub)[Parts], const Ints (&sums)[Rows][Parts],
                              Floats (&total)[Rows][Parts]) {
  Floats scale[Parts];
  for (int p = 0; p < Parts; ++p) scale[p] = sub[p].scale[s];
  add_sums(x, column, sums, scale, total);
  for (int r = 0; r < Rows; ++r) {
    const int32_t sum = x[r].sum[column / 16] + x[r].sum[column / 16 + 1];
    const Floats offset = PanelSimd::splat(x[r].scale[column / 32] * static_cast<float>(sum));
    for (int p = 0; p < Parts; ++p) {
      total[r][p] = PanelSimd::take(sub[p].least[s], offset, total[r][p]);
    }
  }
}

template <int Rows, int Parts>
HWY_INLINE void add_block(const RoundedColumns (&x)[Rows], int64_t column,
                          const PanelQ4_K* const (&w)[Parts], const int (&lane)[Parts],
                          Floats (&total)[Rows][Parts]) {
  SubBlocks sub[Parts];
  for (int p = 0; p < Parts; ++p) sub[p].open(*w[p], lane[p]);
  for (int pair = 0; pair < 4; ++pair) {
    const int64_t first = column + 64 * pair, second = first + 32;
    Ints one[Rows][Parts], other[Rows][Parts];
    start_sums(x, first, 0, 0, one);
    start_sums(x, second, 0, 0, other);
    for (int j = 0; j < 8; ++j) {
      Ints low[Parts], high[Parts];
      for (int p = 0; p < Parts; ++p) {
        const Ints both = PanelSimd::load(w[p]->q[8 * pair + j][lane[p]]);
        low[p] = PanelSimd::low(both);
        high[p] = PanelSimd::high(both);
      }
      add_four(x, first + 4 * j, low, one);
      add_four(x, second + 4 * j, high, other);
    }
    add_sub_block(x, first, 2 * pair, sub, one, total);
    add_sub_block(x, second, 2 * pair + 1, sub, other, total);
  }
}

/// Four numbers of six bits a lane: `part` says which nibbles and pairs of bits they are.
template <int part>
HWY_INLINE Ints six_bits(Ints low, Ints high) {
  const Ints nibbles = part < 2 ? PanelSimd::low(low) : PanelSimd::high(low);
  Ints pairs = high;
  if constexpr (part == 0) pairs = PanelSimd::left<4>(high);
  if constexpr (part == 1) pairs = PanelSimd::left<2>(high);
  if constexpr (part == 3) pairs = PanelSimd::right<2>(high);
  return PanelSimd::either(nibbles, PanelSimd::bits(pairs, 0x30303030));
}

/// 32 columns of half a super-block.
template <int part, int Rows, int Parts>
HWY_INLINE void add_part(const RoundedColumns (&x)[Rows], int64_t column, int half,
                         const PanelQ6_K* const (&w)[Parts], const int (&lane)[Parts],
                         const Floats (&d)[Parts], Floats (&total)[Rows][Parts]) {
  const int64_t first = column + 128 * half + 32 * part;
  for (int sub = 0; sub < 2; ++sub) {
    Ints sums[Rows][Parts];
    start_sums(x, first + 16 * sub, 1, 32, sums);
    for (int j = 4 * sub; j < 4 * sub + 4; ++j) {
      Ints n[Parts];
      for (int p = 0; p < Parts; ++p) {
        n[p] = six_bits<part>(PanelSimd::load(w[p]->low[16 * half + part % 2 * 8 + j][lane[p]]),
                              PanelSimd::load(w[p]->high[8 * half + j][lane[p]]));
      }
      add_four(x, first + 4 * j, n, sums);
    }
    Floats scale[Parts];
    for (int p = 0; p < Parts; ++p) {
      const int8_t* const scales = w[p]->scale[8 * half + 2 * part + sub] + lane[p];
      scale[p] = PanelSimd::mul(d[p], PanelSimd::floats(PanelSimd::bytes(scales)));
    }
    add_sums(x, first, sums, scale, total);
  }
}

template <int Rows, int Parts>
HWY_INLINE void add_block(const RoundedColumns (&x)[Rows], int64_t column,
                          const PanelQ6_K* const (&w)[Parts], const int (&lane)[Parts],
                          Floats (&total)[Rows][Parts]) {
  Floats d[Parts];
  for (int p = 0; p < Parts; ++p) d[p] = PanelSimd::scales(w[p]->d + lane[p]);
  for (int half = 0; half < 2; ++half) {
    add_part<0>(x, column, half, w, lane, d, total);
    add_part<1>(x, column, half, w, lane, d, total);
    add_part<2>(x, column, half, w, lane, d, total);
    add_part<3>(x, column, half, w, lane, d, total);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
