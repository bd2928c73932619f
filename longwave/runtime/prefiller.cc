// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/prefiller.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "longwave/base/error.h"

namespace longwave::runtime {

void check_samples(const Model& model, std::span<const float> input) {
  require(!model.takes_tokens(), "session", "this model takes tokens");
  require(input.size() % model.input_size() == 0, "session", "input must hold whole samples");
  const auto bad = std::ranges::find_if(input, [](float x) { return !std::isfinite(x); });
  if (bad == input.end()) return;
  throw InvalidArgument(
      {.where = "session",
       .what = "input must be finite",
       .got = std::to_string(*bad) + " at place " + std::to_string(bad - input.begin()),
       .fix = "leave the sample out or fill it in; the state is untouched"});
}

std::span<const float> Prefiller::run(const Model& model, Place place, std::span<const float> input,
                                      Answers answers) {
  check_samples(model, input);
  const auto width = static_cast<int64_t>(model.input_size());
  const int64_t time = std::ssize(input) / width;
  Network::Prefill args;
  args.input = {input.data(), {1, time, width}};
  return run(model, place, args, time, answers);
}

std::span<const float> Prefiller::run(const Model& model, Place place,
                                      std::span<const int64_t> tokens, Answers answers) {
  require(model.takes_tokens(), "session", "this model takes real inputs");
  Network::Prefill args;
  args.tokens = {tokens.data(), {1, std::ssize(tokens)}};
  return run(model, place, args, std::ssize(tokens), answers);
}

std::span<const float> Prefiller::run(const Model& model, Place place, Network::Prefill args,
                                      int64_t time, Answers which) {
  const Network& network = model.network();
  require(network.causal() || place.position == 0, "session",
          "a model that looks ahead needs the whole sequence at once: reset first");
  const size_t bytes = network.workspace_bytes(1, time);
  if (!workspace_ || workspace_->capacity() < bytes) workspace_.emplace(bytes);
  const bool per_step = network.config().interface.output == models::Interface::Output::kStep;
  const bool only_last = which == Answers::kLast && time > 0;
  const int64_t answers = per_step && !only_last ? time : 1;
  const auto size = static_cast<int64_t>(model.output_size());
  output_.resize(std::max<size_t>(output_.size(), answers * size));
  args.state = {place.state.data(), {1, network.state_size()}};
  args.output = {output_.data(), {1, answers, size}};
  network.prefill(args, *workspace_);
  place.position += time;
  return {output_.data(), static_cast<size_t>(answers * size)};
}

}  // namespace longwave::runtime
