// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

namespace longwave::ops {

/// What happens to numbers that are already in the output.
enum class Accumulate : uint8_t { kOverwrite, kAdd };

/// Product with the transpose of a weight matrix: every linear layer.
///
///   y[r, o] = sum_i x[r, i] W[o, i] + b[o]        (+ what y held, where asked)
///
/// Few rows go through our own product, which reads W once for all of them and is what `step`
/// wants; many rows go through OpenBLAS in blocks of a fixed height.
///
/// Numerics   sums in the type of the operands, in an order that depends on the shape alone.
/// Cost       rows * in * out multiply-adds; no allocation of ours, none at all for few rows.
/// Errors     InvalidArgument if extents disagree.
/// Threads    safe for distinct y; the result does not depend on the number of threads.
template <typename T>
struct MatmulArgs {
  View<const T, 2> x;  // (rows, in)    fastest where the inputs of a row are adjacent
  View<const T, 2> W;  // (out, in)     same
  View<const T, 1> b;  // (out), or absent
  View<T, 2> y;        // (rows, out)   out; must not overlap x
  Accumulate accumulate = Accumulate::kOverwrite;
};
void matmul(const MatmulArgs<float>& args);
void matmul(const MatmulArgs<double>& args);

}  // namespace longwave::ops
