// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/arithmetic.h"

#include <torch/cuda.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>

namespace longwave::train {
namespace {

bool is_lookup(const Parameter& parameter, const models::Config& config) {
  return config.interface.input == models::Interface::Input::kTokens &&
         !config.options.flag("model.tie") && parameter.name == "encoder.weight";
}

/// Weights of all experts lie below each other: (experts, outputs, inputs).
bool is_of_experts(const Parameter& parameter) {
  return parameter.shape.size() == 3 && parameter.name.find(".moe.") != std::string::npos;
}

void wait_for(const torch::Device& device) {
  if (device.is_cuda()) torch::cuda::synchronize();
}

}  // namespace

double operations_a_time_step(const models::Config& config) {
  double used = 0;
  for (const Parameter& parameter : models::parameters(config)) {
    if (parameter.group == ParameterGroup::kBuffer || is_lookup(parameter, config)) continue;
    auto numbers = static_cast<double>(element_count(parameter.shape));
    if (is_of_experts(parameter)) {
      numbers *= static_cast<double>(config.options.integer("moe.chosen")) /
                 static_cast<double>(parameter.shape[0]);
    }
    used += numbers;
  }
  return 6 * used;
}

double attainable_speed(const torch::Device& device, nn::Precision precision) {
  using Clock = std::chrono::steady_clock;
  const torch::NoGradGuard no_grad;
  const int64_t extent = device.is_cuda() ? 8192 : 768;
  const auto type = precision == nn::Precision::kBfloat16 ? torch::kBFloat16 : torch::kFloat32;
  const torch::Tensor a = torch::ones({extent, extent}, torch::device(device).dtype(type));
  torch::Tensor product = torch::mm(a, a);
  double best = 0;
  for (int round = 0; round < 4; ++round) {
    wait_for(device);
    const Clock::time_point start = Clock::now();
    torch::mm_out(product, a, a);
    wait_for(device);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const auto n = static_cast<double>(extent);
    best = std::max(best, 2 * n * n * n / seconds);
  }
  return best;
}

}  // namespace longwave::train
