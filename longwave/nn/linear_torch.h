// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>

namespace longwave::nn {

/// Finds a parameter of one layer by the name that its table gives it.
using ParameterLookup = std::function<torch::Tensor(const std::string& name)>;

/// The lookup seen from "prefix.".
ParameterLookup scoped(const ParameterLookup& lookup, const std::string& prefix);

/// The training form of Linear: x (..., inputs) to (..., outputs).
torch::Tensor linear(const torch::Tensor& x, const ParameterLookup& parameters);

}  // namespace longwave::nn
