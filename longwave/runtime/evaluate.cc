// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/evaluate.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/workspace.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {
namespace {

using data::Example;
using data::TaskInfo;

bool is_class(const TaskInfo& info) {
  return info.target == TaskInfo::Target::kClass || info.target == TaskInfo::Target::kClassPerStep;
}

bool is_per_step(const TaskInfo& info) {
  return info.target == TaskInfo::Target::kClassPerStep ||
         info.target == TaskInfo::Target::kValuePerStep;
}

void score_label(std::span<const float> logits, int64_t label, Score& score) {
  const auto top = std::ranges::max_element(logits);
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit} - double{*top});
  // A NaN among the logits must show in the loss, whatever max_element made of it.
  score.loss += std::log(sum) + double{*top} - double{logits[static_cast<size_t>(label)]};
  score.right += (top - logits.begin()) == label ? 1 : 0;
  ++score.asked;
}

void score_value(double output, double value, double scale, double shift, Score& score) {
  const double error = output - value;
  const double standardised = (value - shift) / scale;
  score.loss += error * error / (scale * scale);
  score.squares += error * error;
  score.target += standardised;
  score.target_sq += standardised * standardised;
  ++score.asked;
}

int64_t steps_of(const TaskInfo& info, const Example& example) {
  return info.input == TaskInfo::Input::kTokens
             ? static_cast<int64_t>(example.tokens.size())
             : static_cast<int64_t>(example.input.size()) / info.input_size;
}

/// A model of the next token may know more tokens than the data hold.
bool same_or_padded(const TaskInfo& info, const models::Interface& interface) {
  if (info.input_size == interface.input_size && info.target_size == interface.output_size) {
    return true;
  }
  return info.input == TaskInfo::Input::kTokens && info.input_size == info.target_size &&
         interface.input_size == interface.output_size && info.input_size < interface.input_size;
}

void check_fit(const models::Interface& interface, const data::Dataset& dataset) {
  const TaskInfo& info = dataset.info();
  if (dataset.size() == 0) {
    throw DataError({.where = "evaluate",
                     .what = "the data set is empty",
                     .got = "0 examples",
                     .fix = "choose another split"});
  }
  const bool tokens = info.input == TaskInfo::Input::kTokens;
  const bool per_step = is_per_step(info);
  const bool fits = tokens == (interface.input == models::Interface::Input::kTokens) &&
                    per_step == (interface.output == models::Interface::Output::kStep) &&
                    same_or_padded(info, interface);
  if (!fits) {
    throw DataError(
        {.where = "evaluate",
         .what = "the model was made for other data",
         .got = fmt::format("a model of {} -> {}, data of {} -> {}", interface.input_size,
                            interface.output_size, info.input_size, info.target_size),
         .fix = "evaluate it on the source that it was trained on"});
  }
}

/// Runs one example; `output` is sized here.
void answer(const models::SequenceModel& network, const TaskInfo& info, const Example& example,
            Workspace& workspace, std::vector<float>& output) {
  const int64_t time = steps_of(info, example);
  const int64_t answers = is_per_step(info) ? time : 1;
  std::vector<float> state(static_cast<size_t>(network.state_size()), 0.0F);
  output.assign(static_cast<size_t>(answers * info.target_size),
                std::numeric_limits<float>::quiet_NaN());
  models::SequenceModel::Prefill call{.input = {},
                                      .tokens = {},
                                      .state = {state.data(), {1, network.state_size()}},
                                      .output = {output.data(), {1, answers, info.target_size}}};
  if (info.input == TaskInfo::Input::kTokens) {
    call.tokens = {example.tokens.data(), {1, time}};
  } else {
    call.input = {example.input.data(), {1, time, info.input_size}};
  }
  network.prefill(call, workspace);
}

}  // namespace

Score& Score::operator+=(const Score& other) {
  loss += other.loss;
  squares += other.squares;
  target += other.target;
  target_sq += other.target_sq;
  right += other.right;
  bytes += other.bytes;
  asked += other.asked;
  return *this;
}

Score score(const TaskInfo& info, const Example& example, std::span<const float> output) {
  Score result;
  const auto size = static_cast<size_t>(info.target_size);
  if (is_class(info)) {
    for (size_t i = 0; i < example.label.size(); ++i) {
      if (example.label[i] < 0) continue;
      score_label(output.subspan(i * size, size), example.label[i], result);
      if (info.tokenizer == nullptr) continue;
      result.bytes += static_cast<int64_t>(info.tokenizer->token(example.label[i]).size());
    }
    return result;
  }
  for (size_t i = 0; i < example.value.size(); ++i) {
    if (std::isnan(example.value[i])) continue;
    const double scale = info.target_scale.empty() ? 1.0 : double{info.target_scale[i % size]};
    const double shift = info.target_shift.empty() ? 0.0 : double{info.target_shift[i % size]};
    score_value(output[i], example.value[i], scale, shift, result);
  }
  return result;
}

std::vector<std::pair<std::string, double>> metrics(const TaskInfo& info, const Score& score) {
  const auto count = static_cast<double>(score.asked);
  const double loss = score.loss / count;
  if (is_class(info)) {
    const double accuracy = static_cast<double>(score.right) / count;
    if (info.tokenizer == nullptr) return {{"loss", loss}, {"accuracy", accuracy}};
    const double bits = score.loss / std::numbers::ln2 / static_cast<double>(score.bytes);
    return {{"loss", loss}, {"bits_per_byte", bits}, {"accuracy", accuracy}};
  }
  const double mean = score.target / count;
  const double variance = score.target_sq / count - mean * mean;
  return {{"loss", loss}, {"mse", score.squares / count}, {"nmse", loss / variance}};
}

double Evaluation::metric(const std::string& name) const {
  for (const auto& [known, value] : metrics) {
    if (known == name) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

bool smaller_is_better(const std::string& metric) { return metric != "accuracy"; }

std::string deciding_metric(const TaskInfo& info) {
  return is_class(info) && info.tokenizer == nullptr ? "accuracy" : "loss";
}

Evaluation evaluate(const models::SequenceModel& network, const data::Dataset& dataset,
                    int64_t limit, const AnswerSink& sink) {
  TaskInfo info = dataset.info();
  check_fit(network.config().interface, dataset);
  info.target_size = network.config().interface.output_size;
  const auto start = std::chrono::steady_clock::now();
  const int64_t count = std::min(limit, dataset.size());
  std::vector<Score> scores(static_cast<size_t>(count));
  std::vector<int64_t> steps(static_cast<size_t>(count));
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    Workspace workspace(network.workspace_bytes(1, info.length));
    std::vector<float> output;
    for (int64_t i = begin; i < end; ++i) {
      const Example example = dataset.example(i);
      answer(network, info, example, workspace, output);
      scores[static_cast<size_t>(i)] = score(info, example, output);
      steps[static_cast<size_t>(i)] = steps_of(info, example);
      if (sink) sink(i, output);
    }
  });
  Score total;
  Evaluation result;
  for (const Score& one : scores) total += one;
  for (int64_t one : steps) result.steps += one;
  result.examples = count;
  result.metrics = metrics(info, total);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace longwave::runtime
