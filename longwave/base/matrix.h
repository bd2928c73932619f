// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/assert.h"
#include "longwave/base/dtype.h"
#include "longwave/base/error.h"
#include "longwave/base/view.h"

namespace longwave {

/// An immutable matrix of weights of any element type, which somebody else owns.
///
/// Types with blocks have them along the rows: `columns` is a multiple of the block.
///
/// Threads    a plain value; what it looks at must not change.
struct Matrix {
  DType dtype = DType::kFloat32;
  int64_t rows = 0;
  int64_t columns = 0;
  const std::byte* data = nullptr;
  size_t row_bytes = 0;  ///< from a row to the next
  Layout layout = Layout::kRows;

  Matrix() = default;

  /// Rows that follow each other without a gap.
  Matrix(DType type, int64_t row_count, int64_t column_count, const std::byte* bytes)
      : dtype(type),
        rows(row_count),
        columns(column_count),
        data(bytes),
        row_bytes(bytes_of(type, column_count)) {}

  /// A float32 view is a matrix; InvalidArgument if elements of a row are not adjacent.
  Matrix(View<const float, 2> view)
      : rows(view.extent(0)),
        columns(view.extent(1)),
        data(reinterpret_cast<const std::byte*>(view.data())),
        row_bytes(static_cast<size_t>(view.stride(0)) * sizeof(float)) {
    require(columns <= 1 || view.stride(1) == 1, "matrix", "elements of a row must be adjacent");
  }
  Matrix(View<float, 2> view) : Matrix(View<const float, 2>(view)) {}

  const std::byte* row(int64_t r) const { return data + static_cast<size_t>(r) * row_bytes; }

  /// Rows [begin, begin + count). Panels are not cut.
  Matrix slice(int64_t begin, int64_t count) const {
    LONGWAVE_ASSERT(begin >= 0 && count >= 0 && begin + count <= rows, "slice out of range");
    LONGWAVE_ASSERT(layout == Layout::kRows || (ends_a_panel(begin) && ends_a_panel(begin + count)),
                    "a panel is not cut");
    Matrix part = *this;
    part.data = row(begin);
    part.rows = count;
    return part;
  }

  /// Whether no panel has rows on both sides of row `r`, where rows lie in panels.
  bool ends_a_panel(int64_t r) const { return r % kPanelRows == 0 || r == rows; }

  /// The numbers of a float32 matrix.
  View<const float, 2> floats() const {
    LONGWAVE_ASSERT(dtype == DType::kFloat32, "matrix asked for another element type");
    return {reinterpret_cast<const float*>(data),
            {rows, columns},
            {static_cast<int64_t>(row_bytes / sizeof(float)), 1}};
  }
};

}  // namespace longwave
