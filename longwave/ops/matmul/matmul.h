// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "longwave/base/matrix.h"
#include "longwave/base/view.h"

namespace longwave::ops {

/// Rows up to which `matmul` uses its own product rather than OpenBLAS: then a row has the same
/// bits whatever the others are.
inline constexpr int64_t kMatmulFewRows = 32;

/// What happens to numbers that are already in the output.
enum class Accumulate : uint8_t { kOverwrite, kAdd };

/// Weights of any type for float32, double for double.
template <typename T>
using MatmulWeights = std::conditional_t<std::is_same_v<T, float>, Matrix, View<const T, 2>>;

/// Product with the transpose of a weight matrix: every linear layer.
///
///   y[r, o] = sum_i x[r, i] W[o, i] + b[o]        (+ what y held, where asked)
///
/// Few rows go through our own product, which reads W once for all of them and is what `step`
/// wants; many rows go through OpenBLAS in blocks of a fixed height, on tiles of W as float32.
/// Blocked weights meet any number of rows in integer dot products: a row alone has the bits of
/// the row among others. In panels (ops/quant/panels.h) they are read at what memory gives.
///
/// Numerics   sums in the type of the operands, in an order that depends on the shape alone. With
///            blocked weights, x is rounded to 8-bit integers that share a scale in
///            32 columns, and products are summed as integers there: the answer is that of
///            x + e with |e[r, i]| <= max over these columns of |x[r]| / 254. An x that is not
///            finite gives NaN.
/// Cost       rows * in * out multiply-adds; no allocation of ours but a tile of W for each thread
///            where many rows meet 16-bit weights.
/// Errors     InvalidArgument if extents disagree or W is of no type for weights.
/// Threads    safe for distinct y; the result does not depend on the number of threads.
template <typename T>
struct MatmulArgs {
  View<const T, 2> x;  // (rows, in)    fastest where the inputs of a row are adjacent
  MatmulWeights<T> W;  // (out, in)
  View<const T, 1> b;  // (out), or absent
  View<T, 2> y;        // (rows, out)   out; must not overlap x
  Accumulate accumulate = Accumulate::kOverwrite;
};
void matmul(const MatmulArgs<float>& args);
void matmul(const MatmulArgs<double>& args);

}  // namespace longwave::ops
