// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/dry_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "longwave/base/process_memory.h"
#include "longwave/train/arithmetic.h"
#include "longwave/train/process.h"
#include "longwave/train/progress.h"
#include "longwave/train/trainer.h"

namespace longwave::train {
namespace {

constexpr int64_t kFloatBytes = 4;

void count(const Parameter& parameter, Component& component) {
  const int64_t size = element_count(parameter.shape);
  switch (parameter.group) {
    case ParameterGroup::kMain:
      component.main += size;
      break;
    case ParameterGroup::kSsm:
      component.ssm += size;
      break;
    case ParameterGroup::kNoDecay:
      component.no_decay += size;
      break;
    case ParameterGroup::kBuffer:
      component.buffer += size;
      break;
  }
}

void count_parameters(const ParameterTable& table, Plan& plan) {
  plan.total.name = "total";
  for (const Parameter& parameter : table) {
    const std::string name = parameter.name.substr(0, parameter.name.rfind('.'));
    auto found = std::ranges::find(plan.components, name, &Component::name);
    if (found == plan.components.end()) {
      found = plan.components.insert(plan.components.end(), Component{.name = name});
    }
    count(parameter, *found);
    count(parameter, plan.total);
  }
}

void time_steps(Trainer& trainer, Plan& plan) {
  using Clock = std::chrono::steady_clock;
  const int64_t before = resident_bytes();
  trainer.step();
  std::array<double, 3> seconds{};
  for (double& one : seconds) {
    const Clock::time_point start = Clock::now();
    const Trainer::Step step = trainer.step();
    one = std::chrono::duration<double>(Clock::now() - start).count();
    plan.sequences_a_step = step.sequences;
    plan.time_steps_a_step = step.time_steps;
    plan.loss = step.loss;
  }
  std::ranges::sort(seconds);
  plan.seconds_a_step = seconds[1];
  plan.peak_bytes = peak_resident_bytes();
  plan.activation_bytes = std::max<int64_t>(0, plan.peak_bytes - before);
}

std::string row(const Component& part) {
  return fmt::format("  {:<28} {:>10} {:>10} {:>10} {:>10}\n", part.name, part.main, part.ssm,
                     part.no_decay, part.buffer);
}

std::string megabytes(int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace

Plan dry_run(const Options& recipe) {
  prepare_process(recipe.integer("train.threads"));
  Trainer trainer(recipe);
  Plan plan;
  count_parameters(trainer.model().table(), plan);
  const int64_t trained = plan.total.main + plan.total.ssm + plan.total.no_decay;
  plan.sequences = trainer.dataset().size();
  plan.length = trainer.info().length;
  plan.steps = trainer.total_steps();
  plan.weight_bytes = (trained + plan.total.buffer) * kFloatBytes;
  plan.gradient_bytes = trained * kFloatBytes;
  plan.optimiser_bytes = 2 * trained * kFloatBytes;
  time_steps(trainer, plan);
  plan.operations_a_time_step = operations_a_time_step(trainer.model().config());
  plan.utilisation = plan.operations_a_time_step * static_cast<double>(plan.time_steps_a_step) /
                     plan.seconds_a_step / attainable_speed(trainer.device(), trainer.precision());
  return plan;
}

std::string to_text(const Plan& plan) {
  std::string text = fmt::format("parameters {:<19} {:>10} {:>10} {:>10} {:>10}\n", "", "main",
                                 "ssm", "no decay", "buffers");
  for (const Component& part : plan.components) text += row(part);
  text += row(plan.total);
  text +=
      fmt::format("data            {} sequences of up to {} steps\n", plan.sequences, plan.length);
  text += fmt::format("a step          {} sequences, {} time steps\n", plan.sequences_a_step,
                      plan.time_steps_a_step);
  text += fmt::format(
      "memory          weights {}, gradients {}, optimiser {}, activations {} (measured)\n",
      megabytes(plan.weight_bytes), megabytes(plan.gradient_bytes), megabytes(plan.optimiser_bytes),
      megabytes(plan.activation_bytes));
  text += fmt::format(
      "speed           {:.1f} ms a step, {} time steps a second\n", plan.seconds_a_step * 1e3,
      short_count(static_cast<double>(plan.time_steps_a_step) / plan.seconds_a_step));
  text += fmt::format(
      "arithmetic      {} operations a time step, {:.0f} % of the speed of a large matrix "
      "product\n",
      short_count(plan.operations_a_time_step), 100 * plan.utilisation);
  text += fmt::format("the whole run   {} steps, {} without evaluations\n", plan.steps,
                      short_time(plan.seconds_a_step * static_cast<double>(plan.steps)));
  return text;
}

std::string to_json(const Plan& plan) {
  const auto part = [](const Component& one) {
    return nlohmann::ordered_json{{"name", one.name},
                                  {"main", one.main},
                                  {"ssm", one.ssm},
                                  {"no_decay", one.no_decay},
                                  {"buffer", one.buffer}};
  };
  nlohmann::ordered_json json;
  for (const Component& one : plan.components) json["components"].push_back(part(one));
  json["total"] = part(plan.total);
  json["sequences"] = plan.sequences;
  json["length"] = plan.length;
  json["steps"] = plan.steps;
  json["sequences_a_step"] = plan.sequences_a_step;
  json["time_steps_a_step"] = plan.time_steps_a_step;
  json["weight_bytes"] = plan.weight_bytes;
  json["gradient_bytes"] = plan.gradient_bytes;
  json["optimiser_bytes"] = plan.optimiser_bytes;
  json["activation_bytes"] = plan.activation_bytes;
  json["peak_bytes"] = plan.peak_bytes;
  json["seconds_a_step"] = plan.seconds_a_step;
  json["operations_a_time_step"] = plan.operations_a_time_step;
  json["utilisation"] = plan.utilisation;
  json["seconds"] = plan.seconds_a_step * static_cast<double>(plan.steps);
  return json.dump(2) + "\n";
}

}  // namespace longwave::train
