// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace longwave::testing {

/// An operand whose gradient is checked.
struct Operand {
  std::string name;
  torch::Tensor value;  // float64 leaf that requires a gradient
};

/// A loss that weighs every element of an output differently, so that no error cancels.
inline torch::Tensor weighted_sum(const torch::Tensor& output) {
  const torch::Tensor flat = output.reshape({-1});
  const torch::Tensor place = torch::arange(flat.numel(), flat.options().requires_grad(false));
  return (flat * (1.7 * place + 0.3).sin()).sum();
}

/// GradientMatchesFiniteDifference: autograd against central differences, element by element.
///
/// With step s the difference quotient errs by about s^2 |f'''| + eps |f| / s; s = eps^(1/3) makes
/// both about eps^(2/3), so an honest gradient of a smooth loss of size `magnitude` stays within
/// `safety` times that.
inline void expect_gradients(const std::function<torch::Tensor()>& loss,
                             const std::vector<Operand>& operands, double safety = 1e3) {
  constexpr double kStep = 6e-6;
  for (const Operand& operand : operands) operand.value.mutable_grad() = torch::Tensor();
  const torch::Tensor value = loss();
  value.backward();
  const double magnitude = std::max(std::abs(value.item<double>()), 1.0);
  const double bound = safety * kStep * kStep * magnitude;
  torch::NoGradGuard guard;
  for (const Operand& operand : operands) {
    ASSERT_TRUE(operand.value.grad().defined()) << operand.name << " has no gradient";
    const torch::Tensor flat = operand.value.view({-1});
    const torch::Tensor gradient = operand.value.grad().contiguous().view({-1});
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double at = flat[i].item<double>();
      flat[i] = at + kStep;
      const double above = loss().item<double>();
      flat[i] = at - kStep;
      const double below = loss().item<double>();
      flat[i] = at;
      const double expected = (above - below) / (2 * kStep);
      const double scale = std::max(std::abs(expected), 1.0);
      ASSERT_NEAR(gradient[i].item<double>(), expected, bound * scale)
          << operand.name << " at " << i << " of " << operand.value.sizes();
    }
  }
}

}  // namespace longwave::testing
