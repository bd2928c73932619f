// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/base/dtype.h"
#include "longwave/base/tensor.h"

/// What reading and writing of models in GGUF files share.
namespace longwave::runtime {

/// Whether a tensor of a GGUF file is a matrix of weights, which may be of any type. As llama.cpp
/// has it, convolutions, A, D, norms, routers and biases are float32.
bool is_gguf_matrix(const std::string& name, const Shape& shape);

/// The same numbers in another type. Errors as `ops::quantize`.
Tensor in_type(Tensor tensor, DType dtype);

}  // namespace longwave::runtime
