// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// The tensor outside the graph, no conjugate or negative of its memory, with its last extent
/// adjacent there, as kernels want their operands; copied only if need be. Undefined stays so.
inline torch::Tensor with_rows(const torch::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const torch::Tensor plain = tensor.detach().resolve_conj().resolve_neg();
  return plain.size(-1) <= 1 || plain.stride(-1) == 1 ? plain : plain.contiguous();
}

/// A dense tensor of the same extents and type, not yet written. Undefined stays undefined.
inline torch::Tensor empty_as(const torch::Tensor& tensor) {
  return tensor.defined() ? torch::empty(tensor.sizes(), tensor.options()) : torch::Tensor();
}

/// The tensor, or zeros of a shape, of the type and device of `like`, if it is undefined.
inline torch::Tensor or_zeros(const torch::Tensor& tensor, at::IntArrayRef shape,
                              const torch::Tensor& like) {
  return tensor.defined() ? tensor : torch::zeros(shape, like.options().requires_grad(false));
}

/// As functions of the graph take what may be undefined.
inline c10::optional<torch::Tensor> optional(const torch::Tensor& tensor) {
  return tensor.defined() ? c10::optional<torch::Tensor>(tensor) : c10::nullopt;
}

/// Requires an operand of a given rank, and of the type and device of `wanted`.
///
/// Errors     InvalidArgument, with the operator `where` and the operand's name, if it is missing
///            or is another.
void require_tensor(const char* where, const char* name, const torch::Tensor& tensor,
                    const torch::TensorOptions& wanted, int64_t rank);

/// Whether the tensor holds 16-bit numbers, as the signals of a model that trains in bfloat16.
inline bool is_narrow(const torch::Tensor& tensor) {
  return tensor.defined() &&
         (tensor.scalar_type() == torch::kBFloat16 || tensor.scalar_type() == torch::kFloat16);
}

/// The type of what an operator on x keeps exact: float32 beside 16-bit signals, else that of x.
inline torch::ScalarType wide_type(const torch::Tensor& x) {
  return is_narrow(x) ? torch::kFloat32 : x.scalar_type();
}

/// The tensor in its wide type. Undefined stays undefined.
inline torch::Tensor widened(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(wide_type(tensor)) : tensor;
}

}  // namespace longwave::ops
