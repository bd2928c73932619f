// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "longwave/runtime/session.h"

namespace longwave::runtime {

/// How well a model foresees tokens.
struct Perplexity {
  int64_t tokens = 0;  ///< that were foreseen: all but the first
  double nats = 0;     ///< sum of -ln p(token | all before)

  double nats_per_token() const { return tokens == 0 ? 0 : nats / static_cast<double>(tokens); }
};

/// Reads the tokens as one sequence from the session's state on; each is foreseen from all before
/// it, however long the sequence is. `goes_on` is asked now and then with how many were read; false
/// ends the reading.
///
/// Numerics   float32 logits, sums in double.
/// Cost       memory does not depend on the length.
/// Errors     as Session; InvalidArgument if the model does not answer each step with one of its
///            own tokens; Diverged if an answer is not finite.
Perplexity measure_perplexity(Session& session, std::span<const int64_t> tokens,
                              const std::function<bool(int64_t)>& goes_on);

/// What keeping the state in fewer bytes changes.
struct StateError {
  Perplexity exact;      ///< with a float32 state
  Perplexity kept;       ///< of the same tokens, one step for each, with the state in the form
  double largest = 0;    ///< |difference| of two logits
  double magnitude = 0;  ///< largest |logit| with a float32 state

  /// What the form makes of the perplexity, as a share of it.
  double change() const {
    return exact.tokens == 0 ? 0 : std::expm1(kept.nats_per_token() - exact.nats_per_token());
  }
};

/// Reads the tokens twice from the beginning: with a float32 state, and step by step with one that
/// is rounded to `form` after each. Otherwise as measure_perplexity.
StateError measure_state_error(std::shared_ptr<const Model> model, StateForm form,
                               std::span<const int64_t> tokens,
                               const std::function<bool(int64_t)>& goes_on);

}  // namespace longwave::runtime
