// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/session.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/runtime/hash.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::runtime {
namespace {

uint64_t fingerprint_of(const models::Config& config, const Weights& weights, double rate) {
  const std::string text = format_model_config(config);
  uint64_t hash = hash_bytes(std::as_bytes(std::span(text)));
  hash = hash_bytes(std::as_bytes(std::span(&rate, 1)), hash);
  for (const Parameter& parameter : models::parameters(config)) {
    hash = hash_bytes(std::as_bytes(std::span(parameter.name)), hash);
    const Tensor& tensor = weights.all().at(parameter.name);
    const std::string_view type = name_of(tensor.dtype());
    if (tensor.dtype() != DType::kFloat32) hash = hash_bytes(std::as_bytes(std::span(type)), hash);
    hash = hash_bytes({tensor.raw(), tensor.bytes()}, hash);
  }
  return hash;
}

double checked_rate(double rate) {
  if (std::isfinite(rate) && rate > 0) return rate;
  throw InvalidArgument({.where = "rate",
                         .what = "must be positive and finite",
                         .got = std::to_string(rate),
                         .fix = "use 1 for the sampling rate of the training data"});
}

void check_finite(std::span<const float> input) {
  const auto bad = std::ranges::find_if(input, [](float x) { return !std::isfinite(x); });
  if (bad == input.end()) return;
  throw InvalidArgument(
      {.where = "session",
       .what = "input must be finite",
       .got = std::to_string(*bad) + " at place " + std::to_string(bad - input.begin()),
       .fix = "leave the sample out or fill it in; the state is untouched"});
}

}  // namespace

std::shared_ptr<const Model> Model::load(const std::filesystem::path& folder, double rate,
                                         int64_t context) {
  ModelFolder found = load_model_folder(folder);
  if (context > 0) set_context(found.config, context);
  return std::make_shared<const Model>(std::move(found.config), found.weights, rate);
}

Model::Model(models::Config config, const Weights& weights, double rate)
    : network_(config, weights, checked_rate(rate)),
      fingerprint_(fingerprint_of(config, weights, rate)) {}

bool Model::takes_tokens() const {
  return network_.config().interface.input == models::Interface::Input::kTokens;
}

size_t Model::output_size() const {
  return static_cast<size_t>(network_.config().interface.output_size);
}

Session::Session(std::shared_ptr<const Model> model)
    : model_(std::move(model)),
      step_workspace_(model_->network().workspace_bytes(1, 1)),
      output_(model_->output_size()) {
  state_.fingerprint = model_->fingerprint();
  state_.values.assign(model_->network().state_size(), 0.0f);
}

std::span<const float> Session::prefill(std::span<const float> input) {
  require(!model_->takes_tokens(), "session", "this model takes tokens");
  const int64_t count = static_cast<int64_t>(input.size()), time = count / input_size();
  require(count % input_size() == 0, "session", "input must hold whole samples");
  check_finite(input);
  Network::Prefill args;
  args.input = {input.data(), {1, time, input_size()}};
  return prefill(args, time);
}

std::span<const float> Session::prefill(std::span<const int64_t> tokens) {
  require(model_->takes_tokens(), "session", "this model takes real inputs");
  const int64_t time = static_cast<int64_t>(tokens.size());
  Network::Prefill args;
  args.tokens = {tokens.data(), {1, time}};
  return prefill(args, time);
}

std::span<const float> Session::prefill(Network::Prefill args, int64_t time) {
  const Network& network = model_->network();
  require(network.causal() || state_.position == 0, "session",
          "a model that looks ahead needs the whole sequence at once: reset first");
  const size_t bytes = network.workspace_bytes(1, time);
  if (!prefill_workspace_ || prefill_workspace_->capacity() < bytes) {
    prefill_workspace_.emplace(bytes);
  }
  const bool per_step = network.config().interface.output == models::Interface::Output::kStep;
  const int64_t answers = per_step ? time : 1;
  const auto size = static_cast<int64_t>(model_->output_size());
  output_.resize(std::max<size_t>(output_.size(), answers * size));
  args.state = {state_.values.data(), {1, network.state_size()}};
  args.output = {output_.data(), {1, answers, size}};
  network.prefill(args, *prefill_workspace_);
  state_.position += time;
  return {output_.data(), static_cast<size_t>(answers * size)};
}

std::span<const float> Session::step(std::span<const float> sample) {
  require(!model_->takes_tokens(), "session", "this model takes tokens");
  require(static_cast<int64_t>(sample.size()) == input_size(), "session",
          "a sample must hold input_size numbers");
  check_finite(sample);
  Network::Step args;
  args.input = {sample.data(), {1, input_size()}};
  return step(args);
}

std::span<const float> Session::step(int64_t token) {
  require(model_->takes_tokens(), "session", "this model takes real inputs");
  Network::Step args;
  args.tokens = {&token, {1}};
  return step(args);
}

std::span<const float> Session::step(Network::Step args) {
  args.state = {state_.values.data(), {1, model_->network().state_size()}};
  args.output = {output_.data(), {1, static_cast<int64_t>(model_->output_size())}};
  model_->network().step(args, step_workspace_);
  ++state_.position;
  return {output_.data(), model_->output_size()};
}

void Session::restore(const State& state) {
  if (state.fingerprint != state_.fingerprint || state.values.size() != state_.values.size()) {
    throw InvalidArgument({.where = "session",
                           .what = "the state belongs to another model, or to another rate",
                           .got = "fingerprint " + std::to_string(state.fingerprint) +
                                  ", this model's is " + std::to_string(state_.fingerprint),
                           .fix = "load the model that the state was saved from"});
  }
  state_ = state;
}

void Session::reset() {
  state_.position = 0;
  std::ranges::fill(state_.values, 0.0f);
}

}  // namespace longwave::runtime
