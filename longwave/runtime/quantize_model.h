// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/dtype.h"
#include "longwave/base/parameter.h"
#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// What became of a matrix.
struct QuantizedTensor {
  std::string name;
  Shape shape;
  DType from = DType::kFloat32;
  DType to = DType::kFloat32;
  bool fits = true;  ///< false: its rows are no multiple of the block that was asked for
  size_t bytes_before = 0;
  size_t bytes_after = 0;
  double error = 0;  ///< root mean square of the difference, relative to that of the numbers
};

/// Whether rows of a tensor of this shape are whole blocks of the type.
inline bool fits(DType dtype, const Shape& shape) {
  return !shape.empty() && shape.back() % block_of(dtype).elements == 0;
}

/// The type that a parameter gets when matrices shall have `to`, as below.
DType quantized_type(const Parameter& parameter, DType to);

/// One matrix in that type, and what became of it. Errors as below.
std::pair<Tensor, QuantizedTensor> quantize_tensor(const Parameter& parameter, const Tensor& tensor,
                                                   DType to);

/// Stores the matrices of a model in a smaller type; every other tensor is left as it is.
///
/// Embedding and head are read by every token: with 4 bits they get the next larger type, q6_k, or
/// q8_0 where that does not fit. A matrix whose rows are no multiple of the block gets q8_0 or,
/// where that does not fit either, bfloat16.
///
/// Errors     InvalidArgument if `to` is no type for weights or a number cannot be stored in it;
///            DataError if a tensor is missing.
std::vector<QuantizedTensor> quantize_model(const models::Config& config, Weights& weights,
                                            DType to);

}  // namespace longwave::runtime
