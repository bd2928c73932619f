// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/session.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::runtime {

Session::Session(std::shared_ptr<const Model> model, StateForm form)
    : model_(std::move(model)),
      form_(form),
      step_workspace_(model_->network().workspace_bytes(1, 1)),
      output_(model_->output_size()) {
  state_.fingerprint = model_->fingerprint();
  state_.values.assign(model_->network().state_size(), 0.0f);
  state_.parts = state_parts(model_->network(), form);
}

template <typename Input>
std::span<const float> Session::read(std::span<const Input> input, Prefiller::Answers answers) {
  proposed_ = 0;
  const auto result = prefiller_.run(*model_, {state_.values, state_.position}, input, answers);
  round_state(state_.values, state_.parts);
  return result;
}

std::span<const float> Session::prefill(std::span<const float> input) {
  return read(input, Prefiller::Answers::kAll);
}

std::span<const float> Session::prefill(std::span<const int64_t> tokens) {
  return read(tokens, Prefiller::Answers::kAll);
}

std::span<const float> Session::prefill_last(std::span<const int64_t> tokens) {
  return read(tokens, Prefiller::Answers::kLast);
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
  round_state(state_.values, state_.parts);
  proposed_ = 0;
  ++state_.position;
  return {output_.data(), model_->output_size()};
}

std::span<const float> Session::propose(std::span<const int64_t> tokens) {
  const models::SequenceModel& network = model_->network();
  require(model_->takes_tokens(), "session", "this model takes real inputs");
  require(form_ == StateForm::kFloat32, "session", "only a float32 state takes tokens back");
  const int64_t time = std::ssize(tokens), size = network.journal_size();
  require(time <= kMostProposed, "session", "too many tokens are proposed at once");
  const auto width = static_cast<int64_t>(model_->output_size());
  proposed_ = 0;
  if (!proposal_workspace_ || proposal_workspace_->capacity() < network.workspace_bytes(1, time)) {
    proposal_workspace_.emplace(network.workspace_bytes(1, time));
  }
  journal_.resize(std::max(journal_.size(), static_cast<size_t>(time * size)));
  output_.resize(std::max(output_.size(), static_cast<size_t>(time * width)));
  models::SequenceModel::Prefill args;
  args.tokens = {tokens.data(), {1, time}};
  args.state = {state_.values.data(), {1, network.state_size()}};
  args.output = {output_.data(), {1, time, width}};
  network.tentative_steps(args, {journal_.data(), {1, time, size}}, *proposal_workspace_);
  state_.position += time;
  proposed_ = time;
  return {output_.data(), static_cast<size_t>(time * width)};
}

void Session::keep(int64_t count) {
  const models::SequenceModel& network = model_->network();
  require(count >= 0 && count <= proposed_, "session", "so many tokens were not proposed last");
  network.take_back({state_.values.data(), {1, network.state_size()}},
                    {journal_.data(), {1, proposed_, network.journal_size()}}, count);
  state_.position -= proposed_ - count;
  proposed_ = count;
}

int64_t Session::steps_left() const {
  const models::SequenceModel& network = model_->network();
  return network.steps_left({state_.values.data(), {network.state_size()}});
}

void Session::restore(const State& state) {
  model_->check_own(state);
  state_.position = state.position;
  state_.values = state.values;
  if (state.parts != state_.parts) round_state(state_.values, state_.parts);
  proposed_ = 0;
}

void Session::reset() {
  proposed_ = 0;
  state_.position = 0;
  std::ranges::fill(state_.values, 0.0f);
}

}  // namespace longwave::runtime
