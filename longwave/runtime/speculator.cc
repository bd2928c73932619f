// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/speculator.h"

#include <algorithm>
#include <string>

#include "longwave/base/error.h"

namespace longwave::runtime {
namespace {

double weight_of(std::span<const Sampler::Choice> choices, int64_t token) {
  const auto found = std::ranges::find(choices, token, &Sampler::Choice::token);
  return found == choices.end() ? 0 : found->weight;
}

void check(const Model& model, const Model& draft, int64_t tokens) {
  if (model.output_size() != draft.output_size() || !draft.takes_tokens()) {
    throw InvalidArgument({.where = "draft",
                           .what = "the draft must have the vocabulary of the model",
                           .got = std::to_string(draft.output_size()) + " and " +
                                  std::to_string(model.output_size()) + " tokens",
                           .fix = "take a smaller model of the same family"});
  }
  if (tokens >= 1 && tokens < Session::kMostProposed) return;
  throw InvalidArgument(
      {.where = "draft",
       .what = "the draft can guess 1 to " + std::to_string(Session::kMostProposed - 1) + " tokens",
       .got = std::to_string(tokens),
       .fix = {}});
}

}  // namespace

Speculator::Speculator(Session& model, Session& draft, const SamplerOptions& options,
                       int64_t tokens)
    : model_(model),
      draft_(draft),
      tokens_(tokens),
      sampler_(options),
      draft_sampler_(options),
      random_(options.seed, stream_id("speculator")),
      guessed_(model.model().output_size()) {
  check(model.model(), draft.model(), tokens);
}

void Speculator::observe(int64_t token) {
  sampler_.observe(token);
  draft_sampler_.observe(token);
}

int64_t Speculator::first(std::span<const float> logits) {
  ready_ = {pick(sampler_.distribution(logits), random_.uniform())};
  observe(ready_.front());
  handed_out_ = 1;
  return ready_.front();
}

int64_t Speculator::next(int64_t most) {
  if (ready() == 0) run_round(most);
  return ready_[static_cast<size_t>(handed_out_++)];
}

void Speculator::run_round(int64_t most) {
  fed_.assign(1, ready_.back());
  const int64_t count = guesses(most);
  guess(count);
  const std::span<const float> logits = model_.propose(fed_);
  ++report_.passes;
  report_.proposed += count;
  ready_.clear();
  handed_out_ = 0;
  judge(logits);
  report_.accepted += std::ssize(ready_) - 1;
  settle(std::ssize(ready_));
}

/// How many tokens to guess: no more than are asked for, or than there is room for.
int64_t Speculator::guesses(int64_t most) const {
  const int64_t room = std::min(model_.steps_left(), draft_.steps_left());
  return std::max<int64_t>(std::min({tokens_, most - 1, room - 1}), 0);
}

void Speculator::guess(int64_t count) {
  const auto places = static_cast<size_t>(count);
  drawn_from_.resize(std::max(drawn_from_.size(), places));
  draft_states_.resize(std::max(draft_states_.size(), places + 1));
  draft_states_[0] = draft_.state();
  for (size_t i = 0; i < places; ++i) {
    const auto choices = draft_sampler_.distribution(draft_.step(fed_.back()));
    drawn_from_[i].assign(choices.begin(), choices.end());
    fed_.push_back(pick(choices, random_.uniform()));
    draft_states_[i + 1] = draft_.state();
  }
}

/// Fills `ready_`: the guesses that are taken, and one token of the model's own.
void Speculator::judge(std::span<const float> logits) {
  const size_t width = model_.model().output_size(), guesses = fed_.size() - 1;
  for (size_t i = 0; i <= guesses; ++i) {
    const auto own = sampler_.distribution(logits.subspan(i * width, width));
    const bool taken = i < guesses && accepts(i, own);
    if (taken) {
      ready_.push_back(fed_[i + 1]);
    } else {
      ready_.push_back(i < guesses ? drawn_anew(i, own) : pick(own, random_.uniform()));
    }
    observe(ready_.back());
    if (!taken) return;
  }
}

bool Speculator::accepts(size_t place, std::span<const Choice> own) {
  const int64_t token = fed_[place + 1];
  return random_.uniform() * weight_of(drawn_from_[place], token) < weight_of(own, token);
}

int64_t Speculator::drawn_anew(size_t place, std::span<const Choice> own) {
  for (const Choice& choice : drawn_from_[place]) {
    guessed_[static_cast<size_t>(choice.token)] = choice.weight;
  }
  rest_.clear();
  double sum = 0;
  for (const Choice& choice : own) {
    const double left = choice.weight - guessed_[static_cast<size_t>(choice.token)];
    if (left <= 0) continue;
    rest_.push_back({.weight = left, .token = choice.token});
    sum += left;
  }
  for (const Choice& choice : drawn_from_[place]) {
    guessed_[static_cast<size_t>(choice.token)] = 0;
  }
  // Equal distributions leave nothing but rounding, and take every guess but for it.
  return pick(sum > 0 ? std::span<const Choice>(rest_) : own, random_.uniform());
}

void Speculator::finish() {
  if (!fed_.empty() && ready() > 0) settle(handed_out_);
}

/// Leaves both sessions after the first `count` tokens of the round that were fed.
void Speculator::settle(int64_t count) {
  model_.keep(count);
  if (count < std::ssize(fed_)) {
    draft_.restore(draft_states_[static_cast<size_t>(count)]);
  } else if (draft_.steps_left() > 0) {
    draft_.step(fed_.back());
  }
}

}  // namespace longwave::runtime
