// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/training_cost.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "longwave/base/process_memory.h"
#include "longwave/models/sequence_model_torch.h"

namespace longwave::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kShort = 16;
constexpr size_t kFewest = 3, kMost = 101;
constexpr double kEnough = 0.3;  // seconds

models::TorchSequenceModel::Call call_of(const models::Interface& interface, int64_t length) {
  const inspect::RandomSequence sequence = inspect::random_sequence(interface, length);
  if (!sequence.tokens.empty()) {
    return {.tokens = torch::tensor(sequence.tokens).reshape({1, length})};
  }
  return {.input = torch::tensor(sequence.values).reshape({1, length, interface.input_size})};
}

}  // namespace

inspect::TrainingCost measure_training(const runtime::ModelFolder& model, int64_t length) {
  models::TorchSequenceModel network(model.config, model.weights);
  network.train();
  const auto pass = [&](const models::TorchSequenceModel::Call& call) {
    network.zero_grad();
    const models::TorchSequenceModel::Output output = network.forward(call);
    torch::Tensor loss = output.output.square().mean();
    if (output.balance.defined()) loss = loss + output.balance;
    loss.backward();
  };
  pass(call_of(model.config.interface, std::min(length, kShort)));
  const int64_t before = resident_bytes();
  const models::TorchSequenceModel::Call call = call_of(model.config.interface, length);
  pass(call);
  std::vector<double> seconds;
  for (double sum = 0; seconds.size() < kFewest || (sum < kEnough && seconds.size() < kMost);) {
    const Clock::time_point start = Clock::now();
    pass(call);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    sum += seconds.back();
  }
  std::ranges::sort(seconds);
  const int64_t peak = peak_resident_bytes();
  return {.time_steps = length,
          .seconds = seconds[seconds.size() / 2],
          .added_bytes = std::max<int64_t>(0, peak - before),
          .peak_bytes = peak};
}

}  // namespace longwave::train
