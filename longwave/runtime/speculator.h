// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/runtime/sampler.h"
#include "longwave/runtime/session.h"

namespace longwave::runtime {

/// What a draft brought.
struct DraftReport {
  int64_t passes = 0;    ///< of the model over its weights, after the prompt
  int64_t proposed = 0;  ///< tokens that the draft guessed
  int64_t accepted = 0;  ///< those of them that the model took
};

/// Draws a model's tokens with the help of a smaller model that guesses some ahead.
///
/// In each round the draft draws tokens x ~ q one after the other; one pass of the model gives its
/// own p for each place; a guess is taken with probability min(1, p(x) / q(x)), and the first that
/// is not is drawn anew from max(0, p - q). The tokens are distributed as the model's own, whatever
/// the draft is; at temperature 0 they are the same.
///
/// Source     Leviathan et al. 2022, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318.
/// Numerics   p has the bits of steps of the model; probabilities are double.
/// Cost       a round: as many steps of the draft as it guesses, with a copy of its state each, and
///            one pass of the model over one more tokens than that.
/// Errors     as Session and Sampler; InvalidArgument if the models have different vocabularies or
///            `tokens` is not in 1 ... Session::kMostProposed - 1.
/// Threads    one owner at a time, who owns both sessions, too.
class Speculator {
 public:
  /// Both sessions have read the same prompt, all of it.
  Speculator(Session& model, Session& draft, const SamplerOptions& options, int64_t tokens);

  /// Makes a token of the prompt recent.
  void observe(int64_t token);

  /// The first token, from the logits after the prompt.
  int64_t first(std::span<const float> logits);

  /// The next token. At most `most` will be asked for, this one included.
  int64_t next(int64_t most);

  /// Tokens that the next calls of `next` hand out without a pass of the model.
  int64_t ready() const { return std::ssize(ready_) - handed_out_; }

  /// Leaves both sessions after all that was drawn but the last token.
  void finish();

  const DraftReport& report() const { return report_; }

 private:
  using Choice = Sampler::Choice;

  void run_round(int64_t most);
  int64_t guesses(int64_t most) const;
  void guess(int64_t count);
  void judge(std::span<const float> logits);
  bool accepts(size_t place, std::span<const Choice> own);
  int64_t drawn_anew(size_t place, std::span<const Choice> own);
  void settle(int64_t count);

  Session& model_;
  Session& draft_;
  int64_t tokens_;
  Sampler sampler_, draft_sampler_;
  Random random_;
  DraftReport report_;

  // Of the present round: the last token before it and the guesses; what the draft drew each from,
  // and its state before each; the tokens that came out and how many of them were asked for.
  std::vector<int64_t> fed_;
  std::vector<std::vector<Choice>> drawn_from_;
  std::vector<State> draft_states_;
  std::vector<int64_t> ready_;
  int64_t handed_out_ = 0;
  std::vector<double> guessed_;  // q by token, zero between uses
  std::vector<Choice> rest_;
};

}  // namespace longwave::runtime
