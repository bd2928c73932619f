// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <array>
#include <complex>
#include <cstdint>
#include <type_traits>

#include "longwave/base/error.h"
#include "longwave/base/view.h"

struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// The torch type whose numbers look in memory like T.
template <typename T>
constexpr torch::ScalarType scalar_type_of() {
  if constexpr (std::is_same_v<T, float>) return torch::kFloat32;
  if constexpr (std::is_same_v<T, double>) return torch::kFloat64;
  if constexpr (std::is_same_v<T, std::complex<float>>) return torch::kComplexFloat;
  if constexpr (std::is_same_v<T, std::complex<double>>) return torch::kComplexDouble;
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return torch::kBFloat16;
  if constexpr (std::is_same_v<T, __half>) return torch::kFloat16;
  if constexpr (std::is_same_v<T, uint8_t>) return torch::kUInt8;
  if constexpr (std::is_same_v<T, int64_t>) return torch::kInt64;
  return torch::ScalarType::Undefined;
}

/// A view of a tensor on any device with its strides; an absent view of an undefined tensor.
///
/// The view does not keep the tensor alive. A lazily conjugated or negated tensor must be resolved
/// before.
///
/// Errors     InvalidArgument if the tensor has another type or rank, or is not resolved.
template <typename T, int Rank>
View<T, Rank> strided_view_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return {};
  require(tensor.scalar_type() == scalar_type_of<std::remove_const_t<T>>(), "operator on tensors",
          "operands must be of one precision");
  require(tensor.dim() == Rank, "operator on tensors",
          "an operand has the wrong number of extents");
  require(!tensor.is_conj() && !tensor.is_neg(), "operator on tensors",
          "an operand is the conjugate or the negative of what is in its memory: call resolve_conj "
          "and resolve_neg first");
  std::array<int64_t, Rank> extents{}, strides{};
  for (int i = 0; i < Rank; ++i) {
    extents[i] = tensor.size(i);
    strides[i] = tensor.stride(i);
  }
  return {static_cast<T*>(tensor.data_ptr()), extents, strides};
}

/// The same of a CPU tensor.
///
/// Errors     InvalidArgument also if the tensor is elsewhere: then the operator has no backend for
///            that device.
template <typename T, int Rank>
View<T, Rank> view_of(const torch::Tensor& tensor) {
  require(!tensor.defined() || tensor.device().is_cpu(), "operator on tensors",
          "this operator runs on the CPU only so far, and its operands are elsewhere");
  return strided_view_of<T, Rank>(tensor);
}

/// Calls `body` with a number of the tensor's precision: float or double.
template <typename Body>
auto with_precision_of(const torch::Tensor& tensor, const Body& body) {
  const torch::ScalarType type = torch::toRealValueType(tensor.scalar_type());
  require(type == torch::kFloat32 || type == torch::kFloat64, "operator on tensors",
          "operands must be of float32 or float64 precision");
  return type == torch::kFloat64 ? body(double()) : body(float());
}

}  // namespace longwave::ops
