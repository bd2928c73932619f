// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/base/dtype.h"
#include "longwave/base/matrix.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/base/tensor.h"
#include "longwave/base/view.h"

namespace longwave::ops {

/// Whether weights can be stored in this type: float32, float16, bfloat16 and the blocks.
bool is_weight_type(DType dtype);

/// Numbers of weights as float32.
///
///   y[r, i] = W[first + r, first_column + i]
///
/// Numerics   exact for 16-bit types; else the products of block_layout.h in float32, rounded once
///            or twice.
/// Cost       reads what is asked for once; no allocation.
/// Errors     InvalidArgument if shapes disagree, the first column or the columns are no multiple
///            of the block, or the type is not one for weights.
/// Threads    safe for distinct y; runs in the calling thread.
struct DequantizeArgs {
  Matrix W;            // (rows, columns)
  View<float, 2> y;    // (some rows, some columns) out; elements of a row adjacent
  int64_t row = 0;     ///< of W, where y starts
  int64_t column = 0;  ///< of W, where y starts: a multiple of the block
};
void dequantize(const DequantizeArgs& args);

/// The formula in double, element by element: the judge of `dequantize`.
double dequantize_ref(const Matrix& W, int64_t row, int64_t column);

/// The tensor in another type for weights; blocks lie along the last extent.
///
/// A scale is chosen per block so that the squared error is small: the plain scale, least squares
/// for the rounding that it gives, and neighbours of both are compared.
///
///   float16, bfloat16   |error| <= 2^-11 |x|, 2^-8 |x|
///   q8_0                |error| <= d / 2,  d the least float16 >= max|x| / 127
///   q4_0                |error| <= max|x| / 8
///   q4_k, q6_k          no element bound better than a sub-block's range; the mean square is what
///                       is made small
///
/// Cost       a few to some tens of passes over the data; rows in parallel.
/// Errors     InvalidArgument if the tensor is not float32, its last extent is no multiple of the
///            block, or a number is NaN, infinite or too large for a float16 scale.
Tensor quantize(const Tensor& x, DType dtype);

/// Throws DataError at `where` unless every number of a tensor of weights is finite. Of blocks only
/// the scales can be otherwise, so that little is read.
void require_finite(const std::string& name, const StoredTensor& x, std::string_view where);
inline void require_finite(const std::string& name, const Tensor& x, std::string_view where) {
  require_finite(name, stored(x), where);
}

/// The tensor as float32. Errors InvalidArgument if its type is not one for weights.
Tensor dequantize(const Tensor& x);

}  // namespace longwave::ops
