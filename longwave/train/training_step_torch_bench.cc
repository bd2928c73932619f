// SPDX-License-Identifier: Apache-2.0
// Times training steps, one JSON request a line on stdin, one JSON answer a line on stdout, so that
// bench/gpu_training.py can interleave them with those of other implementations:
//
//   {"recipe": "[data]\nsource = \"text\" ...", "steps": 10}
//
// The recipe of the first request is trained on in all of them. An answer holds the tokens of a
// second, the loss of the last step and, on a GPU, the peak memory in bytes.

#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "longwave/models/fit_width.h"
#include "longwave/ops/cuda/peak_memory_torch.h"
#include "longwave/runtime/recipe.h"
#include "longwave/train/process.h"
#include "longwave/train/trainer.h"

namespace longwave::train {
namespace {

using nlohmann::json;

json time_steps(Trainer& trainer, int64_t steps) {
  const bool on_gpu = trainer.device().is_cuda();
  if (on_gpu) torch::cuda::synchronize();
  const auto start = std::chrono::steady_clock::now();
  Trainer::Step last;
  int64_t tokens = 0;
  for (int64_t i = 0; i < steps; ++i) {
    last = trainer.step();
    tokens += last.time_steps;
  }
  if (on_gpu) torch::cuda::synchronize();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  json answer = {{"tokens_per_second", static_cast<double>(tokens) / taken.count()},
                 {"loss", last.loss},
                 {"parameters", models::trained_count(trainer.model().table())}};
  if (on_gpu) answer["peak_bytes"] = ops::gpu::peak_bytes();
  return answer;
}

int run() {
  std::unique_ptr<Trainer> trainer;
  std::string line;
  while (std::getline(std::cin, line)) {
    const json request = json::parse(line);
    if (trainer == nullptr) {
      const std::string text = request.at("recipe");
      const Options recipe = runtime::read_recipe(text, "the request", {});
      prepare_process(recipe.integer("train.threads"));
      trainer = std::make_unique<Trainer>(recipe);
    }
    std::cout << time_steps(*trainer, request.at("steps")) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace longwave::train

int main() { return longwave::train::run(); }
