// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/linear.h"

#include <algorithm>
#include <cmath>

#include "longwave/ops/matmul/matmul.h"

namespace longwave::nn {

ParameterTable linear_parameters(int64_t inputs, int64_t outputs, LinearBias bias) {
  const double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(inputs, 1)));
  ParameterTable table = {{.name = "weight",
                           .shape = {outputs, inputs},
                           .group = ParameterGroup::kMain,
                           .init = uniform_init(-bound, bound),
                           .storage = Storage::kMatrix}};
  if (bias == LinearBias::kAbsent) return table;
  table.push_back({.name = "bias",
                   .shape = {outputs},
                   .group = ParameterGroup::kNoDecay,
                   .init = uniform_init(-bound, bound)});
  return table;
}

Linear::Linear(const Weights& weights, int64_t inputs, int64_t outputs, LinearBias bias)
    : weight_(weights.matrix("weight", {outputs, inputs})) {
  if (bias == LinearBias::kPresent) bias_ = weights.view<1>("bias", {outputs});
}

void Linear::apply(View<const float, 2> x, View<float, 2> y) const {
  ops::matmul({.x = x, .W = weight_, .b = bias_, .y = y});
}

void Linear::add(View<const float, 2> x, View<float, 2> y) const {
  ops::matmul({.x = x, .W = weight_, .b = bias_, .y = y, .accumulate = ops::Accumulate::kAdd});
}

}  // namespace longwave::nn
