// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "longwave/base/matrix.h"
#include "longwave/base/tensor.h"

namespace longwave::ops {

/// What lies in a matrix whose layout is `Layout::kPanels`: sixteen rows at a time, a block of
/// all of them after each other, so that a vector of sixteen sums reads memory from end to end and
/// meets four columns of x in each step. The rows that are left over below the last panel lie as
/// rows. Panels take as many bytes as the rows they are made of.
///
/// q[j][r] are the bytes of row r that its block has at 4 j.

/// x[i] = d (q - 128): bytes have their upper bit turned over.
struct PanelQ8_0 {
  uint16_t d[kPanelRows];
  uint8_t q[8][kPanelRows][4];
};

/// x[i] = d (n - 8): low nibbles of q[j] are columns 4 j to 4 j + 3, high ones 16 more.
struct PanelQ4_0 {
  uint16_t d[kPanelRows];
  uint8_t q[4][kPanelRows][4];
};

/// Super-blocks of 256 columns, as their rows have them: byte k of the scales of row r is
/// scales[k][r], and the bytes at 4 j of its numbers are q[j][r].
struct PanelQ4_K {
  uint16_t d[kPanelRows];
  uint16_t dmin[kPanelRows];
  uint8_t scales[12][kPanelRows];
  uint8_t q[32][kPanelRows][4];
};
struct PanelQ6_K {
  uint16_t d[kPanelRows];
  int8_t scale[16][kPanelRows];
  uint8_t low[32][kPanelRows][4];
  uint8_t high[16][kPanelRows][4];
};

static_assert(sizeof(PanelQ8_0) == 16 * 34 && sizeof(PanelQ4_0) == 16 * 18);
static_assert(sizeof(PanelQ4_K) == 16 * 144 && sizeof(PanelQ6_K) == 16 * 210);

/// Whether tensors of this type can be laid out in panels: all blocks can.
bool has_panels(DType dtype);

/// The tensor with its rows in panels, in `pages` where they are given. Other types, and tensors of
/// three extents whose matrices are no whole panels, are copied as they are.
///
/// Cost       reads and writes the bytes once; rows in parallel.
Tensor in_panels(const Tensor& tensor, std::shared_ptr<LargePages> pages = {});

/// The blocks of a row of a matrix in panels as they lie in a matrix in rows: bytes_of(dtype,
/// columns) bytes, from a column that is the first of a block.
void copy_row_of_panels(const Matrix& W, int64_t row, int64_t column, int64_t columns,
                        std::byte* blocks);

}  // namespace longwave::ops
