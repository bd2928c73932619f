// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/linear_torch.h"

namespace longwave::nn {

ParameterLookup scoped(const ParameterLookup& lookup, const std::string& prefix) {
  return [lookup, prefix](const std::string& name) { return lookup(prefix + "." + name); };
}

torch::Tensor rounded(Precision precision, const torch::Tensor& x) {
  return precision == Precision::kBfloat16 ? x.to(torch::kBFloat16) : x;
}

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& W, const torch::Tensor& b) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = W.size(0);
  const torch::Tensor rows = x.reshape({-1, W.size(1)});
  const torch::Tensor map = W.to(x.scalar_type()).t();
  const torch::Tensor y =
      b.defined() ? torch::addmm(b.to(x.scalar_type()), rows, map) : torch::mm(rows, map);
  return y.view(sizes);
}

torch::Tensor linear(const torch::Tensor& x, const ParameterLookup& parameters) {
  return linear(x, parameters("weight"), parameters("bias"));
}

}  // namespace longwave::nn
