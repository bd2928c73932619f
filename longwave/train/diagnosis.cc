// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/diagnosis.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace longwave::train {
namespace {

bool is_bad(const torch::Tensor& tensor) {
  return tensor.defined() && tensor.is_floating_point() && !tensor.isfinite().all().item<bool>();
}

std::string count_bad(const torch::Tensor& tensor) {
  const auto bad = tensor.numel() - tensor.isfinite().sum().item<int64_t>();
  return fmt::format("{} of its {} numbers are not finite", bad, tensor.numel());
}

std::string bad_input(const std::vector<Batch>& batches) {
  for (const Batch& batch : batches) {
    if (is_bad(batch.input)) return "the input batch: " + count_bad(batch.input);
  }
  return {};
}

std::string bad_parameter(const models::TorchSequenceModel& model) {
  for (const Parameter& parameter : model.table()) {
    const torch::Tensor tensor = model.parameter(parameter.name).detach();
    if (is_bad(tensor)) return fmt::format("parameter {}: {}", parameter.name, count_bad(tensor));
  }
  return {};
}

std::string bad_gradient(const models::TorchSequenceModel& model) {
  const ParameterTable& table = model.table();
  for (auto parameter = table.rbegin(); parameter != table.rend(); ++parameter) {
    const torch::Tensor gradient = model.parameter(parameter->name).grad();
    if (is_bad(gradient)) {
      return fmt::format("the gradient of {}: {}", parameter->name, count_bad(gradient));
    }
  }
  return {};
}

/// The parameter with the largest element: where an overflow in the forward pass most likely began.
std::string largest_parameter(const models::TorchSequenceModel& model) {
  std::string name;
  double largest = -1;
  for (const Parameter& parameter : model.table()) {
    const torch::Tensor tensor = model.parameter(parameter.name).detach();
    if (tensor.numel() == 0) continue;
    const auto size = tensor.abs().max().item<double>();
    if (size > largest) {
      largest = size;
      name = parameter.name;
    }
  }
  return fmt::format("the forward pass overflows; the largest parameter is {} with {:.3g}", name,
                     largest);
}

}  // namespace

Report diagnose(const models::TorchSequenceModel& model, const std::vector<Batch>& batches,
                int64_t step, double loss, double gradient_norm) {
  const torch::NoGradGuard no_grad;
  std::string first = bad_input(batches);
  if (first.empty()) first = bad_parameter(model);
  if (first.empty() && !std::isfinite(loss)) first = largest_parameter(model);
  if (first.empty()) first = bad_gradient(model);
  return {.where = fmt::format("step {}", step + 1),
          .what = "training diverged; first bad: " + first,
          .got = fmt::format("loss {}, gradient norm {}", loss, gradient_norm),
          .fix = "lower train.lr or train.ssm_lr, lengthen train.warmup, or set train.clip"};
}

}  // namespace longwave::train
