// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/generate.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/runtime/stop_filter.h"
#include "longwave/text/stream_decoder.h"

namespace longwave::runtime {
namespace {

void check(const Session& session, const text::Tokenizer* tokenizer,
           std::span<const int64_t> prompt, const GenerateOptions& options) {
  const models::Interface& interface = session.model().network().config().interface;
  check_predicts_tokens(interface, "generate");
  if (prompt.empty()) {
    throw InvalidArgument({.where = "generate",
                           .what = "the prompt must have at least one token",
                           .got = {},
                           .fix = {}});
  }
  if (const int64_t room = session.steps_left(); std::ssize(prompt) > room) {
    throw InvalidArgument({.where = "generate",
                           .what = "the prompt does not fit the context",
                           .got = std::to_string(prompt.size()) + " tokens, where " +
                                  std::to_string(room) + " still fit",
                           .fix = "give a shorter one, or load the model with a longer context "
                                  "(--context)"});
  }
  if (options.draft != nullptr && session.form() != StateForm::kFloat32) {
    throw InvalidArgument({.where = "draft",
                           .what = "a draft needs a float32 state: its guesses are judged in one "
                                   "pass, and other states are rounded after each token",
                           .got = std::string(name_of(session.form())),
                           .fix = "leave out --draft or --state"});
  }
  if (tokenizer == nullptr && !options.stops.empty()) {
    throw InvalidArgument({.where = "generate",
                           .what = "stop strings need text, and the model has no tokenizer",
                           .got = {},
                           .fix = "leave them out"});
  }
  if (tokenizer != nullptr && tokenizer->size() > interface.input_size) {
    throw DataError(
        {.where = "generate",
         .what = "the tokenizer has more tokens than the model",
         .got = std::to_string(tokenizer->size()) + " and " + std::to_string(interface.input_size),
         .fix = "tokenizer.json belongs to another model"});
  }
}

/// Where the tokens come from, one after the other.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// At most `most` will be asked for, this one included.
  virtual int64_t next(int64_t most) = 0;
  /// Whether the next token needs a step that there is no room for.
  virtual bool full() const = 0;
  /// Leaves the session after all that was drawn but the last token.
  virtual void finish(Generation&) {}
};

/// A step of the model for each token.
class Stepping : public TokenSource {
 public:
  Stepping(Session& session, std::span<const int64_t> prompt, const SamplerOptions& options)
      : session_(session), sampler_(options) {
    for (const int64_t token : prompt) sampler_.observe(token);
    logits_ = feed(session, prompt);
  }
  bool full() const override { return last_ && session_.steps_left() == 0; }
  int64_t next(int64_t) override {
    if (last_) logits_ = session_.step(*last_);
    last_ = sampler_.next(logits_);
    return *last_;
  }

 private:
  Session& session_;
  Sampler sampler_;
  std::span<const float> logits_;
  std::optional<int64_t> last_;
};

/// A pass of the model for what a draft guesses.
class Guessing : public TokenSource {
 public:
  Guessing(Session& session, std::span<const int64_t> prompt, const GenerateOptions& options)
      : session_(session),
        speculator_(session, *options.draft, options.sampler, options.draft_tokens) {
    for (const int64_t token : prompt) speculator_.observe(token);
    feed(*options.draft, prompt);
    logits_ = feed(session, prompt);
  }
  bool full() const override {
    return logits_.empty() && speculator_.ready() == 0 && session_.steps_left() == 0;
  }
  int64_t next(int64_t most) override {
    if (logits_.empty()) return speculator_.next(most);
    return speculator_.first(std::exchange(logits_, {}));
  }
  void finish(Generation& generation) override {
    speculator_.finish();
    generation.draft = speculator_.report();
  }

 private:
  Session& session_;
  Speculator speculator_;
  std::span<const float> logits_;  // after the prompt, until they are used
};

std::unique_ptr<TokenSource> source_of(Session& session, std::span<const int64_t> prompt,
                                       const GenerateOptions& options) {
  if (options.draft == nullptr) {
    return std::make_unique<Stepping>(session, prompt, options.sampler);
  }
  return std::make_unique<Guessing>(session, prompt, options);
}

}  // namespace

std::span<const float> feed(Session& session, std::span<const int64_t> tokens) {
  constexpr size_t kPiece = 1024;
  std::span<const float> output;
  for (size_t at = 0; at < tokens.size(); at += kPiece) {
    output = session.prefill_last(tokens.subspan(at, std::min(kPiece, tokens.size() - at)));
  }
  return output;
}

void check_predicts_tokens(const models::Interface& interface, const char* where) {
  const bool predicts = interface.input == models::Interface::Input::kTokens &&
                        interface.output == models::Interface::Output::kStep &&
                        interface.input_size == interface.output_size;
  if (predicts) return;
  throw InvalidArgument({.where = where,
                         .what = "the model does not predict its next token",
                         .got = {},
                         .fix = "train one on the data source text; other models answer "
                                "longwave stream"});
}

Generation generate(Session& session, const text::Tokenizer* tokenizer,
                    std::span<const int64_t> prompt, const GenerateOptions& options,
                    const TokenSink& sink) {
  check(session, tokenizer, prompt, options);
  const std::unique_ptr<TokenSource> source = source_of(session, prompt, options);
  StopFilter filter(options.stops);
  std::optional<text::StreamDecoder> decoder;
  if (tokenizer != nullptr) decoder.emplace(*tokenizer, text::Place::kMiddle);
  Generation result;
  while (std::ssize(result.ids) < options.max_tokens) {
    if (source->full()) {
      result.end = Generation::End::kContext;
      break;
    }
    const int64_t id = source->next(options.max_tokens - std::ssize(result.ids));
    result.ids.push_back(id);
    // A model may have more tokens than its tokenizer, as padding.
    const bool known = decoder && id < tokenizer->size();
    const bool ends = known && tokenizer->is_end(id);
    const bool shows = known && !ends;
    const bool goes_on = sink(id, shows ? filter.push(decoder->push(id)) : std::string());
    if (filter.stopped()) {
      result.end = Generation::End::kStop;
    } else if (ends) {
      result.end = Generation::End::kSpecial;
    } else if (!goes_on) {
      result.end = Generation::End::kAsked;
    } else {
      continue;
    }
    break;
  }
  source->finish(result);
  if (decoder) {
    const std::string rest = filter.push(decoder->finish()) + filter.finish();
    if (!rest.empty()) sink(-1, rest);
  }
  return result;
}

}  // namespace longwave::runtime
