// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <string>

namespace longwave::nn {

/// Finds a parameter of one layer by the name that its table gives it.
using ParameterLookup = std::function<torch::Tensor(const std::string& name)>;

/// The lookup seen from "prefix.".
ParameterLookup scoped(const ParameterLookup& lookup, const std::string& prefix);

/// What signals are rounded to before the products of matrices of a layer; residuals, norms, states
/// and losses are not, and weights are kept as they are.
enum class Precision : uint8_t {
  kOwn,       ///< not at all
  kBfloat16,  ///< 8 bits, for tensor cores
};

/// The signal as a layer of this precision takes it.
torch::Tensor rounded(Precision precision, const torch::Tensor& x);

/// y = x W^T + b for x (..., inputs) of any strides; one product over all rows, which it does not
/// copy where the last extents are adjacent. b may be undefined. The product and y are in the
/// precision of x, to which W and b are rounded.
torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& W, const torch::Tensor& b);

/// The training form of Linear.
torch::Tensor linear(const torch::Tensor& x, const ParameterLookup& parameters);

}  // namespace longwave::nn
