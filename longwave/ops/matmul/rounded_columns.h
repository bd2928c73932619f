// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// Numbers as integers of 8 bits that share a scale in each 32: x[i] = scale q[i].
///
///   scale = max |x| / 127 of the 32;  NaN, with q = 0, if one of them is not finite
struct RoundedColumns {
  int8_t* q;     ///< (columns)
  float* scale;  ///< (columns / 32)
  int32_t* sum;  ///< (columns / 16) of the q

  RoundedColumns from(int64_t column) const {
    return {q + column, scale + column / 32, sum + column / 16};
  }
};

/// Rounds `columns` numbers, a multiple of 32, to the nearest.
void round_columns_cpu(const float* x, int64_t columns, const RoundedColumns& to);

}  // namespace longwave::ops
