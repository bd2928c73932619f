// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/session.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::runtime {

Session::Session(std::shared_ptr<const Model> model)
    : model_(std::move(model)),
      step_workspace_(model_->network().workspace_bytes(1, 1)),
      output_(model_->output_size()) {
  state_.fingerprint = model_->fingerprint();
  state_.values.assign(model_->network().state_size(), 0.0f);
}

std::span<const float> Session::prefill(std::span<const float> input) {
  return prefiller_.run(*model_, place(), input);
}

std::span<const float> Session::prefill(std::span<const int64_t> tokens) {
  return prefiller_.run(*model_, place(), tokens);
}

std::span<const float> Session::step(std::span<const float> sample) {
  check_samples(*model_, sample);
  require(sample.size() == model_->input_size(), "session",
          "a sample must hold input_size numbers");
  models::SequenceModel::Step args;
  args.input = {sample.data(), {1, std::ssize(sample)}};
  return step(args);
}

std::span<const float> Session::step(int64_t token) {
  require(model_->takes_tokens(), "session", "this model takes real inputs");
  models::SequenceModel::Step args;
  args.tokens = {&token, {1}};
  return step(args);
}

std::span<const float> Session::step(models::SequenceModel::Step args) {
  args.state = {state_.values.data(), {1, model_->network().state_size()}};
  args.output = {output_.data(), {1, static_cast<int64_t>(model_->output_size())}};
  model_->network().step(args, step_workspace_);
  ++state_.position;
  return {output_.data(), model_->output_size()};
}

void Session::restore(const State& state) {
  model_->check_own(state);
  state_ = state;
}

void Session::reset() {
  state_.position = 0;
  std::ranges::fill(state_.values, 0.0f);
}

}  // namespace longwave::runtime
