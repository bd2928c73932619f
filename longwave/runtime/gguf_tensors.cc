// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_tensors.h"

#include <utility>

#include "longwave/ops/quant/quant.h"

namespace longwave::runtime {

bool is_gguf_matrix(const std::string& name, const Shape& shape) {
  return shape.size() >= 2 && name.ends_with(".weight") &&
         name.find("ssm_conv1d") == std::string::npos && name.find("norm") == std::string::npos &&
         name.find("ffn_gate_inp") == std::string::npos;
}

Tensor in_type(Tensor tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  if (tensor.dtype() != DType::kFloat32) tensor = ops::dequantize(tensor);
  return dtype == DType::kFloat32 ? std::move(tensor) : ops::quantize(tensor, dtype);
}

}  // namespace longwave::runtime
