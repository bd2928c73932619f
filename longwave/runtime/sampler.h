// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "longwave/base/philox.h"

namespace longwave::runtime {

/// How the next token is drawn. The defaults draw from the model's own distribution.
struct SamplerOptions {
  double temperature = 1;          ///< divides the logits; 0 takes the most likely token
  int64_t top_k = 0;               ///< only so many of the most likely tokens; 0 = all
  double top_p = 1;                ///< only the fewest tokens whose probabilities reach this sum
  double min_p = 0;                ///< only tokens of at least this share of the best probability
  double repetition_penalty = 1;   ///< divides logits of recent tokens (multiplies negative ones)
  int64_t repetition_window = 64;  ///< how many tokens are recent
  uint64_t seed = 0;
};

/// Draws tokens from logits: penalty, temperature, top-k, top-p, min-p, in this order; each limit
/// works on the probabilities that the one before left, made to sum to 1 again.
///
/// Of equal logits the smaller id is the more likely one. Draw `n` of a seed uses the same random
/// number whatever was drawn before.
///
/// Source     Holtzman et al. 2020 (top-p); Nguyen et al. 2024 (min-p); Keskar et al. 2019
///            (penalty).
/// Numerics   double.
/// Cost       one pass over the vocabulary, and with a limit a sort of what top-k leaves; no
///            allocation after the first call.
/// Errors     InvalidArgument for options out of range; Diverged if a logit is NaN or all are
///            infinite.
/// Threads    one owner at a time.
class Sampler {
 public:
  /// A token that may be drawn. Within the sampler its weight is first the logit, then the
  /// probability up to a factor.
  struct Choice {
    double weight;
    int64_t token;
  };

  explicit Sampler(const SamplerOptions& options);

  /// What `next` draws from: each token once, with its probability. Valid until the next call.
  std::span<const Choice> distribution(std::span<const float> logits);

  /// The next token; it counts as recent from now on.
  int64_t next(std::span<const float> logits);

  /// Makes a token recent, as those of a prompt are.
  void observe(int64_t token);

 private:
  void limit(std::span<const float> logits);
  void collect(std::span<const float> logits);
  void cut_top_k();
  void cut_by_probability();

  SamplerOptions options_;
  Random random_;
  std::vector<int64_t> recent_;  // a ring
  size_t oldest_ = 0;
  std::vector<Choice> candidates_;
};

/// The choice that a number in [0, 1) falls on, if each takes its share of the weights' sum.
int64_t pick(std::span<const Sampler::Choice> choices, double uniform);

}  // namespace longwave::runtime
