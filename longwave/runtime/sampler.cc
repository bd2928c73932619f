// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/sampler.h"

#include <algorithm>
#include <cmath>

#include "longwave/base/error.h"

namespace longwave::runtime {

Sampler::Sampler(const SamplerOptions& options)
    : options_(options), random_(options.seed, stream_id("sampler")) {
  const auto in = [](double value, double least, double most) {
    return value >= least && value <= most;
  };
  require(options.temperature >= 0 && std::isfinite(options.temperature), "sampler",
          "temperature must be at least 0");
  require(options.top_k >= 0, "sampler", "top_k must be at least 0");
  require(options.top_p > 0 && options.top_p <= 1, "sampler", "top_p must be in (0, 1]");
  require(in(options.min_p, 0, 1), "sampler", "min_p must be in [0, 1]");
  require(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty), "sampler",
          "repetition_penalty must be above 0");
  require(options.repetition_window >= 0, "sampler", "repetition_window must be at least 0");
}

void Sampler::observe(int64_t token) {
  if (static_cast<int64_t>(recent_.size()) < options_.repetition_window) {
    recent_.push_back(token);
  } else if (!recent_.empty()) {
    recent_[oldest_] = token;
    oldest_ = (oldest_ + 1) % recent_.size();
  }
}

void Sampler::collect(std::span<const float> logits) {
  candidates_.resize(logits.size());
  bool finite = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_[i] = {double{logits[i]}, static_cast<int64_t>(i)};
    finite = finite || std::isfinite(logits[i]);
    if (!std::isnan(logits[i]) && logits[i] < std::numeric_limits<float>::infinity()) continue;
    finite = false;
    break;
  }
  if (!finite) {
    throw Diverged({.where = "sampler",
                    .what = "the model's answer is not finite",
                    .got = {},
                    .fix = "the weights are damaged, or training diverged"});
  }
  if (options_.repetition_penalty == 1) return;
  for (size_t i = 0; i < recent_.size(); ++i) {
    const auto token = static_cast<size_t>(recent_[i]);
    const auto first = recent_.begin() + static_cast<std::ptrdiff_t>(i);
    // A token that occurs twice is penalised once.
    if (token >= logits.size() || std::find(recent_.begin(), first, recent_[i]) != first) continue;
    double& logit = candidates_[token].weight;
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
}

/// Leaves the most likely candidates, most likely first.
void Sampler::cut_top_k() {
  const auto likelier = [](const Choice& a, const Choice& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  };
  const auto all = static_cast<int64_t>(candidates_.size());
  const int64_t kept = options_.top_k > 0 ? std::min(options_.top_k, all) : all;
  std::partial_sort(candidates_.begin(), candidates_.begin() + kept, candidates_.end(), likelier);
  candidates_.resize(static_cast<size_t>(kept));
}

/// Turns logits into probabilities up to a factor, the greatest 1, and cuts the unlikely end off.
void Sampler::cut_by_probability() {
  const double best = std::ranges::max_element(candidates_, {}, &Choice::weight)->weight;
  double sum = 0;
  for (Choice& candidate : candidates_) {
    candidate.weight = std::exp((candidate.weight - best) / options_.temperature);
    sum += candidate.weight;
  }
  size_t kept = 0;
  for (double reached = 0; kept < candidates_.size(); ++kept) {
    // The token that reaches the sum is the last one kept.
    if (options_.top_p < 1 && reached >= options_.top_p * sum) break;
    if (candidates_[kept].weight < options_.min_p) break;
    reached += candidates_[kept].weight;
  }
  candidates_.resize(kept);
}

/// Leaves what may be drawn, with weights that need not sum to 1.
void Sampler::limit(std::span<const float> logits) {
  collect(logits);
  if (options_.temperature == 0) {
    candidates_ = {
        {.weight = 1, .token = std::ranges::max_element(candidates_, {}, &Choice::weight)->token}};
    return;
  }
  // Without a limit the order does not matter, and a large vocabulary need not be sorted.
  if (options_.top_k > 0 || options_.top_p < 1 || options_.min_p > 0) cut_top_k();
  cut_by_probability();
}

std::span<const Sampler::Choice> Sampler::distribution(std::span<const float> logits) {
  limit(logits);
  double sum = 0;
  for (const Choice& choice : candidates_) sum += choice.weight;
  for (Choice& choice : candidates_) choice.weight /= sum;
  return candidates_;
}

int64_t Sampler::next(std::span<const float> logits) {
  limit(logits);
  // At temperature 0 there is nothing to draw, and no number is used up.
  const int64_t token =
      options_.temperature == 0 ? candidates_.front().token : pick(candidates_, random_.uniform());
  observe(token);
  return token;
}

int64_t pick(std::span<const Sampler::Choice> choices, double uniform) {
  double sum = 0;
  for (const Sampler::Choice& choice : choices) sum += choice.weight;
  double left = uniform * sum;
  for (const Sampler::Choice& choice : choices) {
    left -= choice.weight;
    if (left < 0) return choice.token;
  }
  // Only rounding leads here.
  return std::ranges::max_element(choices, {}, &Sampler::Choice::weight)->token;
}

}  // namespace longwave::runtime
