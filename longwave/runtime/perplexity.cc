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

}  // namespace

Perplexity measure_perplexity(Session& session, std::span<const int64_t> tokens,
                              const std::function<bool(int64_t)>& goes_on) {
  // So many rows of logits are held at a time.
  constexpr size_t kPiece = 128;
  check_predicts_tokens(session.model().network().config().interface, "perplexity");
  const size_t vocabulary = session.model().output_size();
  Perplexity result;
  for (size_t at = 0; at + 1 < tokens.size(); at += kPiece) {
    const size_t count = std::min(kPiece, tokens.size() - 1 - at);
    require(std::ranges::all_of(tokens.subspan(at, count + 1),
                                [&](int64_t token) {
                                  return token >= 0 && token < static_cast<int64_t>(vocabulary);
                                }),
            "perplexity", "a token is not in the model's vocabulary");
    const std::span<const float> logits = session.prefill(tokens.subspan(at, count));
    for (size_t i = 0; i < count; ++i) {
      result.nats += surprise(logits.subspan(i * vocabulary, vocabulary), tokens[at + i + 1]);
      ++result.tokens;
    }
    if (!goes_on(result.tokens)) break;
  }
  return result;
}

}  // namespace longwave::runtime
