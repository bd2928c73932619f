// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/batch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::runtime {
namespace {

std::shared_ptr<const Model> checked(std::shared_ptr<const Model> model, int64_t capacity) {
  require(capacity >= 1, "batch", "there must be room for one sequence at least");
  require(model->network().causal(), "batch", "a model that looks ahead has no step");
  return model;
}

}  // namespace

Batch::Batch(std::shared_ptr<const Model> model, int64_t capacity, StateForm form)
    : model_(checked(std::move(model), capacity)),
      capacity_(capacity),
      parts_(state_parts(model_->network(), form)),
      states_(static_cast<size_t>(capacity * model_->network().state_size())),
      workspace_(model_->network().workspace_bytes(capacity, 1)),
      output_(static_cast<size_t>(capacity) * model_->output_size()) {
  members_.reserve(static_cast<size_t>(capacity));
}

Batch::Id Batch::join() {
  if (size() == capacity_) {
    throw InvalidArgument({.where = "batch",
                           .what = "there is no room for one more sequence",
                           .got = std::to_string(capacity_) + " take part",
                           .fix = "let one leave first, or make a larger batch"});
  }
  members_.push_back({.id = Id{next_id_++}, .position = 0});
  std::ranges::fill(row(members_.size() - 1), 0.0f);
  return members_.back().id;
}

Batch::Id Batch::join(const State& state) {
  model_->check_own(state);
  const Id id = join();
  restore(id, state);
  return id;
}

void Batch::leave(Id id) {
  swap_rows(row_of(id), members_.size() - 1);
  members_.pop_back();
}

State Batch::state(Id id) const {
  const size_t index = row_of(id);
  const int64_t size = model_->network().state_size();
  const auto begin = states_.begin() + static_cast<int64_t>(index) * size;
  return {.fingerprint = model_->fingerprint(),
          .position = members_[index].position,
          .values = {begin, begin + size},
          .parts = parts_};
}

int64_t Batch::position(Id id) const { return members_[row_of(id)].position; }

void Batch::restore(Id id, const State& state) {
  const size_t index = row_of(id);
  model_->check_own(state);
  std::ranges::copy(state.values, row(index).begin());
  if (state.parts != parts_) round_state(row(index), parts_);
  members_[index].position = state.position;
}

template <typename Input>
std::span<const float> Batch::read(Id id, std::span<const Input> input) {
  const size_t index = row_of(id);
  const auto answers = prefiller_.run(*model_, {row(index), members_[index].position}, input);
  round_state(row(index), parts_);
  return answers;
}

std::span<const float> Batch::prefill(Id id, std::span<const float> input) {
  return read(id, input);
}

std::span<const float> Batch::prefill(Id id, std::span<const int64_t> tokens) {
  return read(id, tokens);
}

std::span<const float> Batch::step(std::span<const Id> ids, std::span<const int64_t> tokens) {
  require(model_->takes_tokens(), "batch", "this model takes real inputs");
  require(tokens.size() == ids.size(), "batch", "each sequence needs one token");
  models::SequenceModel::Step args;
  args.tokens = {tokens.data(), {std::ssize(tokens)}};
  return step(ids, args);
}

std::span<const float> Batch::step(std::span<const Id> ids, std::span<const float> samples) {
  check_samples(*model_, samples);
  const auto width = static_cast<int64_t>(model_->input_size());
  require(std::ssize(samples) == width * std::ssize(ids), "batch",
          "each sequence needs a sample of input_size numbers");
  models::SequenceModel::Step args;
  args.input = {samples.data(), {std::ssize(ids), width}};
  return step(ids, args);
}

std::span<const float> Batch::step(std::span<const Id> ids, models::SequenceModel::Step args) {
  line_up(ids);
  const models::SequenceModel& network = model_->network();
  const int64_t count = std::ssize(ids);
  args.state = {states_.data(), {count, network.state_size()}};
  args.output = {output_.data(), {count, static_cast<int64_t>(model_->output_size())}};
  network.step(args, workspace_);
  for (size_t i = 0; i < ids.size(); ++i) {
    round_state(row(i), parts_);
    ++members_[i].position;
  }
  return {output_.data(), static_cast<size_t>(args.output.size())};
}

size_t Batch::row_of(Id id) const {
  const auto found = std::ranges::find(members_, id, &Member::id);
  if (found != members_.end()) return static_cast<size_t>(found - members_.begin());
  throw InvalidArgument({.where = "batch",
                         .what = "no such sequence takes part",
                         .got = "sequence " + std::to_string(static_cast<int64_t>(id)),
                         .fix = "it has left, or belongs to another batch"});
}

std::span<float> Batch::row(size_t index) {
  const auto size = static_cast<size_t>(model_->network().state_size());
  return std::span(states_).subspan(index * size, size);
}

void Batch::swap_rows(size_t a, size_t b) {
  if (a == b) return;
  std::swap(members_[a], members_[b]);
  std::ranges::swap_ranges(row(a), row(b));
}

/// Brings the sequences into the first rows, in the order of `ids`.
void Batch::line_up(std::span<const Id> ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t at = row_of(ids[i]);
    require(at >= i, "batch", "a sequence is named twice");
    swap_rows(at, i);
  }
}

}  // namespace longwave::runtime
