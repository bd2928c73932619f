// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "longwave/base/error.h"

namespace longwave::runtime {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kDraws = 20000;

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

/// Checks the frequencies of many draws against probabilities, within six deviations.
void expect_frequencies(SamplerOptions options, const std::vector<float>& logits,
                        const std::vector<double>& probabilities) {
  options.seed = 7;
  Sampler sampler(options);
  std::vector<int64_t> counts(logits.size());
  for (int64_t i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.next(logits))];
  for (size_t i = 0; i < counts.size(); ++i) {
    const double p = probabilities[i];
    const double bound = 6 * std::sqrt(kDraws * p * (1 - p));
    EXPECT_NEAR(static_cast<double>(counts[i]), kDraws * p, bound) << i;
  }
}

const std::vector<double> kFour = {0.1, 0.4, 0.2, 0.3};

TEST(Sampler, DrawsFromTheModelsDistribution) { expect_frequencies({}, logits_of(kFour), kFour); }

TEST(Sampler, TemperatureRaisesProbabilitiesToItsInverse) {
  std::vector<double> sharper;
  double sum = 0;
  for (const double p : kFour) sum += p * p;
  for (const double p : kFour) sharper.push_back(p * p / sum);
  expect_frequencies({.temperature = 0.5}, logits_of(kFour), sharper);
}

TEST(Sampler, LimitsKeepTheLikelyTokens) {
  const std::vector<float> logits = logits_of(kFour);
  expect_frequencies({.top_k = 2}, logits, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_frequencies({.top_k = 9}, logits, kFour);
  // 0.4 + 0.3 reaches 0.65, and 0.4 + 0.3 + 0.2 is needed for 0.75.
  expect_frequencies({.top_p = 0.65}, logits, {0, 4.0 / 7, 0, 3.0 / 7});
  expect_frequencies({.top_p = 0.75}, logits, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  expect_frequencies({.top_p = 1e-9}, logits, {0, 1, 0, 0});
  // At least 0.45 of 0.4.
  expect_frequencies({.min_p = 0.45}, logits, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  // After top-k the best three sum to 1 again: 0.4 / 0.9 + 0.3 / 0.9 reaches 0.75.
  expect_frequencies({.top_k = 3, .top_p = 0.75}, logits, {0, 4.0 / 7, 0, 3.0 / 7});
}

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheMostLikely) {
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 3, 2}), 1);
}

TEST(Sampler, RecentTokensArePenalisedOnce) {
  SamplerOptions options{.temperature = 0, .repetition_penalty = 2, .repetition_window = 3};
  const std::vector<float> logits = {4, 3, -1};
  Sampler sampler(options);
  sampler.observe(0);
  sampler.observe(0);
  // 4 / 2 once, not twice, is below 3.
  EXPECT_EQ(sampler.next(logits), 1);
  // Now 2, 1.5, -1.
  EXPECT_EQ(sampler.next(logits), 0);
  Sampler negative(options);
  negative.observe(0);
  EXPECT_EQ(negative.next(std::vector<float>{-1, -1.5F}), 1) << "negative logits move away too";
  Sampler forgetful(options);
  for (const int64_t token : {0, 2, 2, 2}) forgetful.observe(token);
  EXPECT_EQ(forgetful.next(logits), 0) << "the window has moved on";
}

TEST(Sampler, SameSeedSameTokens) {
  const std::vector<float> logits = logits_of(kFour);
  for (const uint64_t seed : {0, 1, 99}) {
    Sampler one({.seed = seed}), two({.seed = seed}), other({.seed = seed + 1});
    int64_t equal = 0;
    for (int i = 0; i < 200; ++i) {
      const int64_t token = one.next(logits);
      EXPECT_EQ(token, two.next(logits));
      equal += token == other.next(logits) ? 1 : 0;
    }
    EXPECT_LT(equal, 150);
  }
}

TEST(Sampler, ImpossibleTokensAreNeverDrawn) {
  Sampler sampler({});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sampler.next(std::vector<float>{-kInfinity, 0, -kInfinity}), 1);
  }
}

TEST(Sampler, RefusesWhatIsNotFinite) {
  Sampler sampler({});
  EXPECT_THROW(sampler.next(std::vector<float>{0, std::nanf("")}), Diverged);
  EXPECT_THROW(sampler.next(std::vector<float>{0, kInfinity}), Diverged);
  EXPECT_THROW(sampler.next(std::vector<float>{-kInfinity, -kInfinity}), Diverged);
  EXPECT_THROW(sampler.next({}), Diverged);
  for (const SamplerOptions& bad :
       {SamplerOptions{.temperature = -1}, SamplerOptions{.top_k = -1}, SamplerOptions{.top_p = 0},
        SamplerOptions{.top_p = 1.1}, SamplerOptions{.min_p = -0.1},
        SamplerOptions{.repetition_penalty = 0}}) {
    EXPECT_THROW(Sampler{bad}, InvalidArgument);
  }
}

}  // namespace
}  // namespace longwave::runtime
