// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/matrix.h"
#include "longwave/base/view.h"
#include "longwave/ops/matmul/matmul.h"

namespace longwave::mixers {

/// The steps of a batch as the rows of one matrix, where strides allow it.
template <typename T>
bool rows_in_one(const View<T, 3>& x) {
  return x.extent(0) == 1 || x.extent(1) == 1 || x.stride(0) == x.extent(1) * x.stride(1);
}

/// All steps as (batch time, channels); `rows_in_one` must hold.
template <typename T>
View<T, 2> all_rows(const View<T, 3>& x) {
  const int64_t stride = x.extent(1) == 1 ? x.stride(0) : x.stride(1);
  return {x.data(), {x.extent(0) * x.extent(1), x.extent(2)}, {stride, x.stride(2)}};
}

/// A linear map of every step: y[b, t] (+)= W x[b, t] + b.
struct Projection {
  View<const float, 3> x;  // (batch, time, in)
  Matrix W;                // (out, in)
  View<const float, 1> b;  // (out), or absent
  View<float, 3> y;        // (batch, time, out) out
  ops::Accumulate accumulate = ops::Accumulate::kOverwrite;
};

/// One product where the rows of the batch follow each other, else one a sequence.
inline void project(const Projection& args) {
  if (args.x.extent(0) == 0 || args.x.extent(1) == 0) return;
  if (rows_in_one(args.x) && rows_in_one(args.y)) {
    ops::matmul({.x = all_rows(args.x),
                 .W = args.W,
                 .b = args.b,
                 .y = all_rows(args.y),
                 .accumulate = args.accumulate});
    return;
  }
  for (int64_t i = 0; i < args.x.extent(0); ++i) {
    ops::matmul(
        {.x = args.x[i], .W = args.W, .b = args.b, .y = args.y[i], .accumulate = args.accumulate});
  }
}

}  // namespace longwave::mixers
