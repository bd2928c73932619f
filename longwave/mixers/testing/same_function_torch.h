// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {

/// Operands by name, all of them leaves that require a gradient, of shapes that give each.
inline std::map<std::string, torch::Tensor> random_leaves(
    const std::map<std::string, std::vector<int64_t>>& shapes) {
  std::map<std::string, torch::Tensor> leaves;
  uint64_t seed = 1;
  for (const auto& [name, shape] : shapes) {
    leaves[name] = random_tensor(shape, seed++).to(torch::kFloat32).requires_grad_();
  }
  return leaves;
}

/// Two forms of one function in float32: the same bits, and gradients of all leaves through all
/// outputs that differ by the rounding of sums of at most `terms` terms.
inline void expect_same_function(const std::function<std::vector<torch::Tensor>()>& form,
                                 const std::function<std::vector<torch::Tensor>()>& other,
                                 const std::map<std::string, torch::Tensor>& leaves,
                                 int64_t terms) {
  std::vector<std::vector<torch::Tensor>> outputs;
  std::vector<std::map<std::string, torch::Tensor>> gradients;
  for (const auto& function : {form, other}) {
    outputs.push_back(function());
    torch::Tensor loss = torch::zeros({});
    uint64_t seed = 100;
    for (const torch::Tensor& output : outputs.back()) {
      loss =
          loss + (output * random_tensor(output.sizes().vec(), seed++).to(torch::kFloat32)).sum();
    }
    for (const auto& [name, leaf] : leaves) leaf.mutable_grad() = torch::Tensor();
    loss.backward();
    gradients.emplace_back();
    for (const auto& [name, leaf] : leaves) gradients.back()[name] = leaf.grad().clone();
  }
  for (size_t i = 0; i < outputs[0].size(); ++i) {
    EXPECT_TRUE(torch::equal(outputs[0][i], outputs[1][i])) << "output " << i;
  }
  for (const auto& [name, expected] : gradients[1]) {
    const double bound = Tolerance::sum<float>(terms, 1 + most(expected)).bound;
    EXPECT_LE(most(gradients[0].at(name) - expected), bound) << name;
    EXPECT_GT(most(expected), 0) << name << " has no gradient to compare";
  }
}

}  // namespace longwave::mixers::testing
