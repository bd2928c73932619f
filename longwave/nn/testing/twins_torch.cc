// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/testing/twins_torch.h"

#include <algorithm>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::nn::testing {

using longwave::testing::Tolerance;
using longwave::testing::weighted_sum;
using longwave::testing::Worst;

torch::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed) {
  const torch::Tensor tensor = torch::empty(shape);
  Random random(seed);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  }
  return tensor;
}

Twins::Twins(ParameterTable table) {
  for (Parameter& parameter : table) parameter.init = uniform_init(0.25, 1.25);
  weights = initialise(table, 1);
  for (const Parameter& parameter : table) {
    const auto values = weights.get(parameter.name, parameter.shape);
    const torch::Tensor tensor = torch::empty(parameter.shape);
    std::ranges::copy(values, tensor.data_ptr<float>());
    tensors[parameter.name] = tensor;
  }
}

Twins Twins::exact() const {
  Twins copy = *this;
  for (auto& [name, tensor] : copy.tensors) {
    const bool trained = !name.starts_with("running");
    tensor = tensor.to(torch::kFloat64).requires_grad_(trained);
  }
  return copy;
}

View<float, 2> rows_of(const torch::Tensor& x) {
  return {x.data_ptr<float>(), {x.numel() / x.size(-1), x.size(-1)}};
}

void expect_close(const char* what, const torch::Tensor& expected, const torch::Tensor& got,
                  int64_t terms) {
  ASSERT_EQ(expected.sizes(), got.sizes()) << what;
  const torch::Tensor a = expected.detach().to(torch::kFloat64).contiguous();
  const torch::Tensor b = got.detach().to(torch::kFloat64).contiguous();
  const double magnitude = a.numel() == 0 ? 1 : 1 + a.abs().max().item<double>();
  Worst worst(what);
  const bool exact = got.scalar_type() == torch::kFloat64;
  const Tolerance tolerance = exact ? Tolerance::sum<double>(terms, 4 * magnitude)
                                    : Tolerance::sum<float>(terms, 4 * magnitude);
  for (int64_t i = 0; i < a.numel(); ++i) {
    worst.compare(i, a.data_ptr<double>()[i], b.data_ptr<double>()[i], tolerance);
  }
  EXPECT_TRUE(worst.ok());
}

void expect_same_graph(const Twins& twins, const std::vector<torch::Tensor>& inputs,
                       const Form& ours, const Form& plain) {
  for (torch::Dtype dtype : {torch::kFloat64, torch::kFloat32}) {
    std::vector<std::vector<torch::Tensor>> results;
    for (const Form* form : {&ours, &plain}) {
      Twins copy = twins.exact();
      // The plain form always judges in float64.
      const torch::Dtype own = form == &ours ? dtype : torch::kFloat64;
      std::vector<torch::Tensor> leaves, operands;
      for (auto& [name, tensor] : copy.tensors) {
        tensor = tensor.detach().to(own).requires_grad_(tensor.requires_grad());
        if (tensor.requires_grad()) leaves.push_back(tensor);
      }
      for (const torch::Tensor& input : inputs) {
        operands.push_back(input.to(own).clone().requires_grad_());
        leaves.push_back(operands.back());
      }
      const torch::Tensor output = (*form)(operands, copy.lookup());
      weighted_sum(output.to(torch::kFloat64)).backward();
      std::vector<torch::Tensor> result = {output};
      for (const torch::Tensor& leaf : leaves) result.push_back(leaf.grad());
      for (const auto& [name, tensor] : copy.tensors) {
        if (!tensor.requires_grad()) result.push_back(tensor);
      }
      results.push_back(result);
    }
    ASSERT_EQ(results[0].size(), results[1].size());
    for (size_t i = 0; i < results[0].size(); ++i) {
      const std::string what = "result " + std::to_string(i);
      // Gradients of parameters sum over all rows.
      expect_close(what.c_str(), results[1][i], results[0][i], kBatch * kTime * kChannels);
    }
  }
}

}  // namespace longwave::nn::testing
