// SPDX-License-Identifier: Apache-2.0
//
// Blocks of attention for one SIMD target: small products, copies of operands, visibility; to be
// included by `_cpu.cc` files after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_ATTENTION_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_ATTENTION_BLOCK_INL_H_
#undef LONGWAVE_OPS_ATTENTION_BLOCK_INL_H_
#else
#define LONGWAVE_OPS_ATTENTION_BLOCK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "longwave/ops/attention/attention_cpu.h"
#include "longwave/ops/attention/attention_keys.h"
#include "longwave/ops/elementwise/exp-inl.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// C = A B, or C += A B: A with any strides, B and C with adjacent columns, a multiple of 16.
struct Product {
  int64_t rows, depth, columns;
  const float* a;
  int64_t a_row, a_depth;
  const float* b;
  int64_t b_step;
  float* c;
  int64_t c_step;
};

/// `Rows` rows of `Vectors` vectors of C; each number is summed along the depth in order.
template <Accumulate Kind, int Rows, int Vectors>
HWY_INLINE void product_tile(const Product& x, int64_t row, int64_t column) {
  const ChannelTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* a = x.a + row * x.a_row;
  const float* b = x.b + column;
  float* c = x.c + row * x.c_step + column;
  ChannelVec sum[Rows][Vectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) {
      sum[r][v] =
          Kind == Accumulate::kAdd ? hn::LoadU(d, c + r * x.c_step + v * lanes) : hn::Zero(d);
    }
  }
  for (int64_t k = 0; k < x.depth; ++k) {
    ChannelVec line[Vectors];
    for (int v = 0; v < Vectors; ++v) line[v] = hn::LoadU(d, b + k * x.b_step + v * lanes);
    for (int r = 0; r < Rows; ++r) {
      const ChannelVec factor = hn::Set(d, a[r * x.a_row + k * x.a_depth]);
      for (int v = 0; v < Vectors; ++v) sum[r][v] = hn::MulAdd(factor, line[v], sum[r][v]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) hn::StoreU(sum[r][v], d, c + r * x.c_step + v * lanes);
  }
}

template <Accumulate Kind, int Rows, int Vectors>
HWY_INLINE void product_columns(const Product& x, int64_t column) {
  int64_t row = 0;
  for (; row + Rows <= x.rows; row += Rows) product_tile<Kind, Rows, Vectors>(x, row, column);
  for (; row < x.rows; ++row) product_tile<Kind, 1, Vectors>(x, row, column);
}

template <Accumulate Kind>
void product(const Product& x) {
  // As many partial sums as registers hold beside their factors.
  constexpr int kVectors = HWY_MAX_BYTES >= 64 ? 4 : 2;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  int64_t column = 0;
  for (; column + kVectors * lanes <= x.columns; column += kVectors * lanes) {
    product_columns<Kind, 4, kVectors>(x, column);
  }
  for (; column < x.columns; column += lanes) product_columns<Kind, 8, 1>(x, column);
}

/// Copies `count` numbers times `scale` and fills up to `padded` with zeros.
HWY_INLINE void copy_row(const float* from, int64_t count, int64_t padded, float scale, float* to) {
  const ChannelTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, from + i), hn::Set(d, scale)), d, to + i);
  }
  for (; i < count; ++i) to[i] = from[i] * scale;
  for (; i < padded; ++i) to[i] = 0.0f;
}

/// Copies a block's rows, times `scale`, as (rows, padded_dim) and as (padded_dim, padded_rows).
inline void gather_rows(const View<const float, 4>& view, const QueryBlock& block,
                        const AttentionBlocks& size, float scale, float* rows, float* columns) {
  std::fill_n(columns, size.padded_dim * size.padded_rows, 0.0f);
  for (int64_t r = 0; r < block.rows(); ++r) {
    float* row = rows + r * size.padded_dim;
    copy_row(block.at(view, r), size.dim, size.padded_dim, scale, row);
    for (int64_t p = 0; p < size.dim; ++p) columns[p * size.padded_rows + r] = row[p];
  }
}

/// Which keys of a block each row sees: those from `oldest` to `newest`, counted from its first.
struct Visibility {
  float* oldest;  // (padded_rows)
  float* newest;  // (padded_rows)
};

enum class Sees : uint8_t { kAll, kSome };

/// Fills in what the rows see of keys [first, first + count); `oldest` is what the first step sees.
inline Sees look(const Keys<float>& keys, const QueryBlock& block, int64_t oldest, int64_t first,
                 int64_t count, const AttentionBlocks& size, const Visibility& out) {
  bool all = true;
  for (int64_t step = 0; step < block.steps; ++step) {
    const int64_t t = block.begin + step;
    if (step > 0) oldest = keys.oldest_after(oldest, t);
    const int64_t from = std::clamp<int64_t>(oldest - first, 0, count);
    const int64_t to = std::clamp<int64_t>(t - first, -1, count - 1);
    all = all && from == 0 && to == count - 1;
    std::fill_n(out.oldest + step * block.group, block.group, static_cast<float>(from));
    std::fill_n(out.newest + step * block.group, block.group, static_cast<float>(to));
  }
  for (int64_t r = block.rows(); r < size.padded_rows; ++r) {
    out.oldest[r] = 0.0f;
    out.newest[r] = static_cast<float>(count - 1);
  }
  return all ? Sees::kAll : Sees::kSome;
}

/// True in the lanes, rows from `row` on, that see key `j` of the block.
HWY_INLINE hn::Mask<ChannelTag> sees_key(const Visibility& visibility, int64_t row, int64_t j) {
  const ChannelTag d;
  const ChannelVec at = hn::Set(d, static_cast<float>(j));
  return hn::And(hn::Ge(at, hn::LoadU(d, visibility.oldest + row)),
                 hn::Le(at, hn::LoadU(d, visibility.newest + row)));
}

/// Copies keys or values [first, first + count) of one key head as (count, padded_dim).
template <typename Row>
HWY_INLINE void gather_keys(int64_t first, int64_t count, const AttentionBlocks& size,
                            const Row& row, float* to) {
  for (int64_t j = 0; j < count; ++j) {
    copy_row(row(first + j), size.dim, size.padded_dim, 1.0f, to + j * size.padded_dim);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
