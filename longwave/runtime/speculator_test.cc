// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/speculator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime {
namespace {

using models::Interface;

constexpr int64_t kVocabulary = 5;
constexpr Interface kTokens = {Interface::Input::kTokens, kVocabulary, Interface::Output::kStep,
                               kVocabulary};
const std::vector<int64_t> kPrompt = {1, 3, 0, 4};
const TokenSink kIgnore = [](int64_t, std::string_view) { return true; };

std::shared_ptr<const Model> make_model(uint64_t seed, const Interface& interface = kTokens) {
  const models::testing::ModelCase one = {"one", {"model.pattern=mamba attention"}, interface};
  return std::make_shared<const Model>(one.config(), one.weights(seed));
}

/// The same answer with and without each draft, at temperature 0.
void expect_same_greedy(const std::shared_ptr<const Model>& model,
                        const std::vector<std::shared_ptr<const Model>>& drafts) {
  for (const int64_t count : {0, 1, 2, 33}) {
    GenerateOptions options{.sampler = {.temperature = 0, .repetition_penalty = 1.1},
                            .max_tokens = count};
    Session alone(model);
    const Generation expected = generate(alone, nullptr, kPrompt, options, kIgnore);
    for (const auto& draft_model : drafts) {
      for (const int64_t tokens : {1, 3, 8}) {
        Session session(model), draft(draft_model);
        options.draft = &draft;
        options.draft_tokens = tokens;
        const Generation got = generate(session, nullptr, kPrompt, options, kIgnore);
        EXPECT_EQ(got.ids, expected.ids);
        EXPECT_EQ(session.state(), alone.state());
        EXPECT_EQ(draft.state().position, alone.state().position);
        EXPECT_LE(got.draft.accepted, got.draft.proposed);
        if (count > 0) {
          EXPECT_EQ(got.draft.passes + got.draft.accepted, std::ssize(got.ids) - 1);
        }
      }
    }
  }
}

TEST(Speculator, GreedyTokensAreThoseOfTheModel) {
  const auto model = make_model(1);
  expect_same_greedy(model, {model, make_model(2), make_model(3)});
}

TEST(Speculator, GreedyTokensOfPublishedModelsAreThoseOfTheModel) {
  for (const char* name : {"mamba2", "jamba", "zamba2"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(testing::kFixtures / name);
    expect_same_greedy(model, {model});
  }
}

TEST(Speculator, AModelAcceptsAllThatItGuessesItself) {
  const auto model = make_model(1);
  for (const double temperature : {0.0, 1.0}) {
    Session session(model), draft(model);
    const GenerateOptions options{.sampler = {.temperature = temperature},
                                  .max_tokens = 41,
                                  .draft = &draft,
                                  .draft_tokens = 4};
    const Generation got = generate(session, nullptr, kPrompt, options, kIgnore);
    EXPECT_EQ(got.draft.accepted, got.draft.proposed);
    EXPECT_EQ(got.draft.passes, 8);
  }
}

/// The model's own probabilities of the second and third token after the prompt, as pairs.
std::vector<double> pair_probabilities(const std::shared_ptr<const Model>& model,
                                       const SamplerOptions& options) {
  std::vector<double> pairs(kVocabulary * kVocabulary);
  const auto probabilities = [&](std::vector<int64_t> tokens) {
    tokens.insert(tokens.begin(), kPrompt.begin(), kPrompt.end());
    Session session(model);
    Sampler sampler(options);
    std::vector<double> p(kVocabulary);
    for (const auto& choice : sampler.distribution(session.prefill(tokens).last(kVocabulary))) {
      p[static_cast<size_t>(choice.token)] = choice.weight;
    }
    return p;
  };
  const std::vector<double> first = probabilities({});
  for (int64_t a = 0; a < kVocabulary; ++a) {
    const std::vector<double> second = probabilities({a});
    for (int64_t b = 0; b < kVocabulary; ++b) {
      const std::vector<double> third = probabilities({a, b});
      for (int64_t c = 0; c < kVocabulary; ++c) {
        pairs[static_cast<size_t>(b * kVocabulary + c)] += first[static_cast<size_t>(a)] *
                                                           second[static_cast<size_t>(b)] *
                                                           third[static_cast<size_t>(c)];
      }
    }
  }
  return pairs;
}

TEST(Speculator, TokensAreDistributedAsTheModels) {
  constexpr int64_t kDraws = 6000;
  const auto model = make_model(1), other = make_model(2);
  for (SamplerOptions options :
       {SamplerOptions{}, SamplerOptions{.temperature = 0.7, .top_k = 3, .min_p = 0.05}}) {
    const std::vector<double> expected = pair_probabilities(model, options);
    std::vector<int64_t> counts(expected.size());
    Session session(model), draft(other);
    GenerateOptions generation{
        .sampler = options, .max_tokens = 4, .draft = &draft, .draft_tokens = 2};
    for (int64_t i = 0; i < kDraws; ++i) {
      session.reset();
      draft.reset();
      generation.sampler.seed = static_cast<uint64_t>(i);
      const auto ids = generate(session, nullptr, kPrompt, generation, kIgnore).ids;
      // The first token is the model's alone; the guesses come after it.
      ++counts[static_cast<size_t>(ids[1] * kVocabulary + ids[2])];
    }
    for (size_t i = 0; i < counts.size(); ++i) {
      const double p = expected[i];
      EXPECT_NEAR(static_cast<double>(counts[i]), kDraws * p,
                  6 * std::sqrt(kDraws * p * (1 - p)) + 1e-3)
          << "pair " << i;
    }
  }
}

TEST(Speculator, AFullContextOfTheDraftEndsItsGuesses) {
  const auto model = Model::load(testing::kFixtures / "jamba");
  const auto short_memory = Model::load(testing::kFixtures / "jamba", 1, 12);
  Session alone(model), session(model), draft(short_memory);
  GenerateOptions options{.sampler = {.temperature = 0}, .max_tokens = 20};
  const auto expected = generate(alone, nullptr, kPrompt, options, kIgnore).ids;
  options.draft = &draft;
  const Generation got = generate(session, nullptr, kPrompt, options, kIgnore);
  EXPECT_EQ(got.ids, expected);
  EXPECT_LE(got.draft.proposed, 12);
  EXPECT_EQ(session.state(), alone.state());
}

TEST(Speculator, EndsWhereTheSinkAsksForIt) {
  const auto model = make_model(1);
  for (int calls : {1, 2, 3, 4, 5, 6}) {
    const auto until = [&](int left) {
      return [left](int64_t, std::string_view) mutable { return --left > 0; };
    };
    Session alone(model), session(model), draft(model);
    GenerateOptions options{.sampler = {.temperature = 0}};
    const auto expected = generate(alone, nullptr, kPrompt, options, until(calls)).ids;
    options.draft = &draft;
    EXPECT_EQ(generate(session, nullptr, kPrompt, options, until(calls)).ids, expected);
    EXPECT_EQ(session.state(), alone.state());
    EXPECT_EQ(draft.state(), alone.state());
  }
}

TEST(Speculator, RefusesDraftsThatDoNotFit) {
  Session session(make_model(1)), draft(make_model(2));
  Session other(make_model(1, {Interface::Input::kTokens, 6, Interface::Output::kStep, 6}));
  EXPECT_THROW(Speculator(session, other, {}, 4), InvalidArgument);
  EXPECT_THROW(Speculator(session, draft, {}, 0), InvalidArgument);
  EXPECT_THROW(Speculator(session, draft, {}, Session::kMostProposed), InvalidArgument);
}

}  // namespace
}  // namespace longwave::runtime
