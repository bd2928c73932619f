// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// The tensor outside the graph with its last extent adjacent in memory, as kernels want their
/// operands; copied only if it is not. Undefined stays undefined.
inline torch::Tensor with_rows(const torch::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const torch::Tensor plain = tensor.detach();
  return plain.size(-1) <= 1 || plain.stride(-1) == 1 ? plain : plain.contiguous();
}

/// A dense tensor of the same extents and type, not yet written. Undefined stays undefined.
inline torch::Tensor empty_as(const torch::Tensor& tensor) {
  return tensor.defined() ? torch::empty(tensor.sizes(), tensor.options()) : torch::Tensor();
}

}  // namespace longwave::ops
