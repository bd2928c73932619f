// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// A row of x as integers with a scale in each 32 columns, laid out for the products with blocks.
///
///   x[i] = scale q[i],  scale = max |x| / 127 of the 32 columns
///
/// Arrays end on a multiple of 64 columns, with zeros. A group is 4 adjacent columns, what one
/// 32-bit lane of an integer dot product sums.
struct BlockActivations {
  int8_t* q;        ///< (columns)
  float* scale;     ///< (columns / 4) the scale of the group's 32 columns
  int32_t* offset;  ///< (columns / 4) -zero sum(q) of the group, where weights are n - zero
  float* sums;      ///< (columns / 32) scale sum(q)
};

/// Columns that are worked on at a time, for all rows together; what follows is added.
inline constexpr int64_t kActivationColumns = 32768;

/// The arrays of some rows, on the stack.
struct ActivationStore {
  alignas(64) int8_t q[kActivationColumns];
  alignas(64) float scale[kActivationColumns / 4];
  alignas(64) int32_t offset[kActivationColumns / 4];
  alignas(64) float sums[kActivationColumns / 32];

  /// Row `r` of rows that have `padded` columns each.
  BlockActivations row(int64_t r, int64_t padded) {
    return {q + r * padded, scale + r * padded / 4, offset + r * padded / 4,
            sums + r * padded / 32};
  }
};

}  // namespace longwave::ops
