// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/nn/linear_torch.h"

namespace longwave::nn::testing {

/// Extents that layers are tried with: more steps than a tile.
inline constexpr int64_t kBatch = 3, kTime = 70, kChannels = 5;

/// Numbers in [-1, 1) that are the same for a seed on every machine.
torch::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed);

/// A layer's parameters in both worlds.
struct Twins {
  Weights weights;
  std::map<std::string, torch::Tensor> tensors;

  explicit Twins(ParameterTable table);
  ParameterLookup lookup() const {
    return [this](const std::string& name) { return tensors.at(name); };
  }
  /// float64 copies that require gradients.
  Twins exact() const;
};

/// What torch-free layers read and write.
View<float, 2> rows_of(const torch::Tensor& x);

/// Requires two tensors to agree up to the rounding of sums of so many terms.
void expect_close(const char* what, const torch::Tensor& expected, const torch::Tensor& got,
                  int64_t terms);

using Form = std::function<torch::Tensor(const std::vector<torch::Tensor>& inputs,
                                         const ParameterLookup& parameters)>;

/// Our node of the graph and the plain composition of torch's own: outputs and all gradients, in
/// float64 and in float32.
void expect_same_graph(const Twins& twins, const std::vector<torch::Tensor>& inputs,
                       const Form& ours, const Form& plain);

}  // namespace longwave::nn::testing
