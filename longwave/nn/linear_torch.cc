// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/linear_torch.h"

namespace longwave::nn {

ParameterLookup scoped(const ParameterLookup& lookup, const std::string& prefix) {
  return [lookup, prefix](const std::string& name) { return lookup(prefix + "." + name); };
}

torch::Tensor rounded(Precision precision, const torch::Tensor& x) {
  return precision == Precision::kBfloat16 ? x.to(torch::kBFloat16) : x;
}

torch::Tensor linear(const torch::Tensor& x, const ParameterLookup& parameters) {
  const torch::Tensor weight = parameters("weight");
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  const torch::Tensor rows = x.reshape({-1, weight.size(1)});
  return torch::addmm(parameters("bias").to(x.scalar_type()), rows, weight.to(x.scalar_type()).t())
      .view(sizes);
}

}  // namespace longwave::nn
