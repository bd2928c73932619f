// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/perplexity.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "longwave/base/error.h"
#include "longwave/runtime/generate.h"

namespace longwave::runtime {
namespace {

/// -ln of the softmax's entry.
double surprise(std::span<const float> logits, int64_t token) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - most);
  const double nats = std::log(sum) + most - double{logits[static_cast<size_t>(token)]};
  if (std::isfinite(nats)) return nats;
  throw Diverged({.where = "perplexity",
                  .what = "the model's answer is not finite",
                  .got = std::to_string(nats) + " for token " + std::to_string(token),
                  .fix = "the weights are damaged, or training diverged"});
}

/// The rows of logits after some tokens, which the next ones are foreseen from.
using Rows = std::function<void(std::span<const float> logits, std::span<const int64_t> next)>;

/// Feeds all tokens but the last in pieces; the logits of each are seen once.
void read(Session& session, std::span<const int64_t> tokens, const Rows& see,
          const std::function<bool(int64_t)>& goes_on) {
  // So many rows of logits are held at a time.
  constexpr size_t kPiece = 128;
  check_predicts_tokens(session.model().network().config().interface, "perplexity");
  const size_t vocabulary = session.model().output_size();
  for (size_t at = 0; at + 1 < tokens.size(); at += kPiece) {
    const size_t count = std::min(kPiece, tokens.size() - 1 - at);
    require(std::ranges::all_of(tokens.subspan(at, count + 1),
                                [&](int64_t token) {
                                  return token >= 0 && token < static_cast<int64_t>(vocabulary);
                                }),
            "perplexity", "a token is not in the model's vocabulary");
    see(session.prefill(tokens.subspan(at, count)), tokens.subspan(at + 1, count));
    if (!goes_on(static_cast<int64_t>(at + count))) break;
  }
}

void add(Perplexity& sum, std::span<const float> logits, int64_t next) {
  sum.nats += surprise(logits, next);
  ++sum.tokens;
}

}  // namespace

Perplexity measure_perplexity(Session& session, std::span<const int64_t> tokens,
                              const std::function<bool(int64_t)>& goes_on) {
  Perplexity result;
  const size_t vocabulary = session.model().output_size();
  const Rows see = [&](std::span<const float> logits, std::span<const int64_t> next) {
    for (size_t i = 0; i < next.size(); ++i) {
      add(result, logits.subspan(i * vocabulary, vocabulary), next[i]);
    }
  };
  read(session, tokens, see, goes_on);
  return result;
}

StateError measure_state_error(std::shared_ptr<const Model> model, StateForm form,
                               std::span<const int64_t> tokens,
                               const std::function<bool(int64_t)>& goes_on) {
  StateError error;
  const size_t vocabulary = model->output_size();
  Session exact(model), kept(model, form);
  size_t at = 0;
  const Rows see = [&](std::span<const float> rows, std::span<const int64_t> next) {
    for (size_t i = 0; i < next.size(); ++i) {
      const std::span<const float> theirs = rows.subspan(i * vocabulary, vocabulary);
      const std::span<const float> ours = kept.step(tokens[at++]);
      add(error.exact, theirs, next[i]);
      add(error.kept, ours, next[i]);
      for (size_t j = 0; j < vocabulary; ++j) {
        error.largest = std::max(error.largest, std::abs(double{ours[j]} - double{theirs[j]}));
        error.magnitude = std::max(error.magnitude, std::abs(double{theirs[j]}));
      }
    }
  };
  read(exact, tokens, see, goes_on);
  return error;
}

}  // namespace longwave::runtime
