// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// Floats to which columns are padded: a whole number of vectors on every processor.
inline constexpr int64_t kSsdLanes = 16;

constexpr int64_t ssd_padded(int64_t count) {
  return (count + kSsdLanes - 1) / kSsdLanes * kSsdLanes;
}

/// Which part of a product is asked for, where causality makes the rest zero or useless.
enum class SsdBand : uint8_t {
  kAll,
  kLower,            ///< elements out[i, j] with j <= i; others may stay as they are
  kDepthToRow,       ///< a[i, k] is zero where k > i
  kDepthFromRow,     ///< a[i, k] is zero where k < i
  kDepthFromColumn,  ///< b[k, j] is zero where k < j
};

/// Rows that will be used soon. They are asked for a few at a time, since a processor waits for
/// only so many at once; and not by itself, since other heads lie between them.
struct SsdSoon {
  const float* data = nullptr;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// A product of small matrices on one thread, added to a scaled matrix.
///
///   out[i, j] = row_scale[i] column_scale[j] scale in[i, j] + sum_k a[i, k] b[k, j]
///
/// Columns come in multiples of kSsdLanes; one of the strides of `a` is 1. Each element adds its
/// terms in the order of k, whatever the shape.
struct SsdProduct {
  int64_t rows = 0, columns = 0, depth = 0;
  const float* a = nullptr;
  int64_t a_row = 1, a_depth = 1;
  const float* b = nullptr;
  int64_t b_depth = 0;
  float* out = nullptr;
  int64_t out_row = 0;
  const float* in = nullptr;  ///< with the strides of out, may be out; or null for zero
  float scale = 1;
  const float* row_scale = nullptr;     ///< or null for 1
  const float* column_scale = nullptr;  ///< or null for 1
  SsdBand band = SsdBand::kAll;
  SsdSoon soon = {};
};
void ssd_product(const SsdProduct& product);

/// out[j, i] = in[i, j] for dense rows of the given strides; columns of out from `rows` up to the
/// next multiple of kSsdLanes become zero.
struct SsdTranspose {
  int64_t rows = 0, columns = 0;
  const float* in = nullptr;
  int64_t in_row = 0;
  float* out = nullptr;
  int64_t out_row = 0;
};
void ssd_transpose(const SsdTranspose& transpose);

}  // namespace longwave::ops
