// SPDX-License-Identifier: Apache-2.0
#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>

#include "longwave/ops/ssd/ssd_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/ssd/ssd_product_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, kSsdLanes>;
using Vec = hn::Vec<Tag>;

// Rows of a tile of two vectors: as many as the registers hold.
constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;

int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Tag())); }

// What a tile starts from: the scaled part of `in`.
HWY_INLINE Vec scaled(const SsdProduct& f, int64_t i, int64_t j) {
  const Tag d;
  if (f.in == nullptr) return hn::Zero(d);
  const float scale = f.row_scale == nullptr ? f.scale : f.scale * f.row_scale[i];
  const Vec value = hn::Mul(hn::LoadU(d, f.in + i * f.out_row + j), hn::Set(d, scale));
  return f.column_scale == nullptr ? value : hn::Mul(value, hn::LoadU(d, f.column_scale + j));
}

/// Rows [i, i + Rows) and Vectors vectors of columns from j on. `a` is read along k where Along,
/// else along i.
template <int Rows, int Vectors, bool Along>
HWY_ATTR void tile(const SsdProduct& f, int64_t i, int64_t j) {
  const Tag d;
  const int64_t width = lanes();
  const int64_t last_row = std::min(i + Rows, f.depth);
  const int64_t first = f.band == SsdBand::kDepthFromRow      ? std::min(i, f.depth)
                        : f.band == SsdBand::kDepthFromColumn ? std::min(j, f.depth)
                                                              : 0;
  const int64_t end = f.band == SsdBand::kDepthToRow ? last_row : f.depth;
  Vec sums[Rows][Vectors];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) sums[r][v] = scaled(f, i + r, j + v * width);
  }
  const float* HWY_RESTRICT a = f.a + i * f.a_row + first * f.a_depth;
  const float* HWY_RESTRICT b = f.b + first * f.b_depth + j;
  const int64_t a_row = Along ? f.a_row : 1, a_depth = Along ? 1 : f.a_depth;
  for (int64_t k = first; k < end; ++k) {
    Vec factor[Vectors];
    for (int v = 0; v < Vectors; ++v) factor[v] = hn::LoadU(d, b + v * width);
    for (int r = 0; r < Rows; ++r) {
      const Vec value = hn::Set(d, a[r * a_row]);
      for (int v = 0; v < Vectors; ++v) sums[r][v] = hn::MulAdd(value, factor[v], sums[r][v]);
    }
    a += a_depth;
    b += f.b_depth;
  }
  for (int r = 0; r < Rows; ++r) {
    float* HWY_RESTRICT out = f.out + (i + r) * f.out_row + j;
    for (int v = 0; v < Vectors; ++v) hn::StoreU(sums[r][v], d, out + v * width);
  }
}

// Asks for the rows of `soon`, evenly while tiles are computed.
class Ahead {
 public:
  explicit Ahead(const SsdProduct& f) : soon_(f.soon) {
    const int64_t tiles = (f.rows / kTileRows) * (f.columns / (2 * lanes()));
    share_ = tiles == 0 ? soon_.rows : (soon_.rows + tiles - 1) / tiles;
  }

  HWY_INLINE void next() {
    const int64_t end = std::min(done_ + share_, soon_.rows);
    for (; done_ < end; ++done_) {
      for (int64_t j = 0; j < soon_.columns; j += 16) {
        hwy::Prefetch(soon_.data + done_ * soon_.row + j);
      }
    }
  }

 private:
  SsdSoon soon_;
  int64_t share_ = 0, done_ = 0;
};

template <int Vectors, bool Along>
HWY_ATTR void panel(const SsdProduct& f, int64_t j, Ahead& ahead) {
  int64_t i = 0;
  if (f.band == SsdBand::kLower) i = std::min(j / kTileRows * kTileRows, f.rows);
  for (; i + kTileRows <= f.rows; i += kTileRows) {
    ahead.next();
    tile<kTileRows, Vectors, Along>(f, i, j);
  }
  if (kTileRows > 4 && i + 4 <= f.rows) {
    tile<4, Vectors, Along>(f, i, j);
    i += 4;
  }
  for (; i < f.rows; ++i) tile<1, Vectors, Along>(f, i, j);
}

template <bool Along>
HWY_ATTR void panels(const SsdProduct& f) {
  const int64_t width = lanes();
  Ahead ahead(f);
  int64_t j = 0;
  for (; j + 2 * width <= f.columns; j += 2 * width) panel<2, Along>(f, j, ahead);
  for (; j < f.columns; j += width) panel<1, Along>(f, j, ahead);
}

HWY_ATTR void product(const SsdProduct& f) {
  if (f.a_depth == 1) {
    panels<true>(f);
  } else {
    panels<false>(f);
  }
}

/// out[j, i] = in[i, j] for four rows of as many columns as a vector has lanes.
HWY_INLINE void transpose_block(const float* in, int64_t in_row, float* out, int64_t out_row) {
  const Tag d;
  HWY_ALIGN float columns[4 * kSsdLanes];
  hn::StoreInterleaved4(hn::LoadU(d, in), hn::LoadU(d, in + in_row), hn::LoadU(d, in + 2 * in_row),
                        hn::LoadU(d, in + 3 * in_row), d, columns);
  for (int64_t j = 0; j < lanes(); ++j) std::memcpy(out + j * out_row, columns + 4 * j, 16);
}

HWY_ATTR void transpose(const SsdTranspose& f) {
  const int64_t rows = f.rows / 4 * 4, columns = f.columns / lanes() * lanes();
  for (int64_t i = 0; i < rows; i += 4) {
    for (int64_t j = 0; j < columns; j += lanes()) {
      transpose_block(f.in + i * f.in_row + j, f.in_row, f.out + j * f.out_row + i, f.out_row);
    }
    for (int64_t j = columns; j < f.columns; ++j) {
      for (int64_t r = i; r < i + 4; ++r) f.out[j * f.out_row + r] = f.in[r * f.in_row + j];
    }
  }
  const int64_t padded = ssd_padded(f.rows);
  for (int64_t j = 0; j < f.columns && rows < padded; ++j) {
    float* out = f.out + j * f.out_row;
    for (int64_t i = rows; i < f.rows; ++i) out[i] = f.in[i * f.in_row + j];
    std::fill(out + f.rows, out + padded, 0.0f);
  }
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(product);
HWY_EXPORT(transpose);

void ssd_product(const SsdProduct& f) { HWY_DYNAMIC_DISPATCH(product)(f); }

void ssd_transpose(const SsdTranspose& f) { HWY_DYNAMIC_DISPATCH(transpose)(f); }

}  // namespace longwave::ops
#endif
