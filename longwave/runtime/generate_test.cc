// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/generate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/stop_filter.h"
#include "longwave/text/sentencepiece_file.h"
#include "longwave/text/utf8.h"

namespace longwave::runtime {
namespace {

using models::Interface;

const models::testing::ModelCase kBytesModel = {
    "Bytes", {}, {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};

std::shared_ptr<const Model> model_of(const models::testing::ModelCase& model_case) {
  return std::make_shared<const Model>(model_case.config(), model_case.weights(5));
}

const TokenSink kIgnore = [](int64_t, std::string_view) { return true; };

TEST(StopFilter, ShowsExactlyWhatStandsBeforeTheFirstStop) {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const int64_t length = random.integer(12);
    for (int64_t i = 0; i < length; ++i) text += "ab"[random.integer(2)];
    const std::vector<std::string> stops = {"aab", "bb", ""};
    const size_t expected = std::min({text.find(stops[0]), text.find(stops[1]), text.size()});
    StopFilter filter(stops);
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const auto part = static_cast<size_t>(1 + random.integer(3));
      shown += filter.push(std::string_view(text).substr(at, part));
      EXPECT_LE(shown.size(), expected) << "never shown too early";
      at += part;
    }
    shown += filter.finish();
    EXPECT_EQ(filter.stopped(), expected < text.size());
    // Parts of several characters may hold a later stop before an earlier one is complete.
    EXPECT_EQ(shown, text.substr(0, expected)) << text;
  }
}

TEST(Generate, GreedyEqualsPrefillingTheWholeText) {
  const auto model = model_of(kBytesModel);
  Session session(model);
  const std::vector<int64_t> prompt = {72, 101, 108};
  const GenerateOptions options{.sampler = {.temperature = 0}, .max_tokens = 20};
  const Generation generation = generate(session, nullptr, prompt, options, kIgnore);
  EXPECT_EQ(generation.end, Generation::End::kLength);
  ASSERT_EQ(generation.ids.size(), 20u);
  std::vector<int64_t> all = prompt;
  for (const int64_t id : generation.ids) {
    Session fresh(model);
    const std::span<const float> logits = fresh.prefill(std::span<const int64_t>(all)).last(256);
    // Steps and prefill differ in rounding: the drawn token is at most that far from the best.
    const float best = *std::ranges::max_element(logits);
    EXPECT_NEAR(logits[static_cast<size_t>(id)], best, 1e-4);
    all.push_back(id);
  }
}

TEST(Generate, TextIsThatOfTheTokensAndEndsAtAStop) {
  const auto model = model_of(kBytesModel);
  const text::Tokenizer bytes = text::Tokenizer::bytes();
  const std::vector<int64_t> prompt = {10};
  const auto run = [&](std::vector<std::string> stops) {
    Session session(model);
    std::string text;
    const auto keep = [&text](int64_t, std::string_view part) {
      text += part;
      return true;
    };
    const Generation generation = generate(
        session, &bytes, prompt, {.sampler = {.seed = 4}, .max_tokens = 200, .stops = stops}, keep);
    return std::pair(generation, text);
  };
  const auto [whole, text] = run({});
  EXPECT_EQ(text, text::showable(bytes.decode(whole.ids)));
  const std::string stop = text.substr(50, 7);
  const auto [stopped, before] = run({stop});
  EXPECT_EQ(stopped.end, Generation::End::kStop);
  EXPECT_EQ(before, text.substr(0, text.find(stop)));
}

/// Pieces for all 256 tokens of the model: every other one is a word with a blank before it.
std::string piece_file() {
  using Type = text::PieceModel::Type;
  text::SentencePieceFile file;
  file.algorithm = text::PieceModel::Algorithm::kMerging;
  file.pieces = {{"<unk>", 0, Type::kUnknown}, {"<s>", 0, Type::kControl}};
  while (file.pieces.size() < 256) {
    const std::string letter(1, static_cast<char>('a' + file.pieces.size() % 26));
    const std::string word = letter + std::to_string(file.pieces.size());
    file.pieces.push_back(
        {file.pieces.size() % 2 == 0 ? text::kBlankMark + word : word, 0, Type::kNormal});
  }
  return text::format_sentencepiece(file);
}

TEST(Generate, AnAnswerOfPiecesGoesOnWithThePrompt) {
  const auto model = model_of(kBytesModel);
  const text::Tokenizer pieces = text::Tokenizer::parse_pieces(piece_file(), "test");
  for (const int64_t first : {2, 3, 40, 41}) {
    Session session(model);
    std::string shown;
    const Generation generation =
        generate(session, &pieces, std::vector<int64_t>{first}, {.sampler = {}, .max_tokens = 12},
                 [&shown](int64_t, std::string_view part) { return shown += part, true; });
    std::vector<int64_t> all = {first};
    for (const int64_t id : generation.ids) all.push_back(id);
    EXPECT_EQ(pieces.decode(all), pieces.decode(std::vector<int64_t>{first}) + shown);
  }
}

TEST(Generate, TokensThatSettingsNameEndTheAnswer) {
  const auto model = model_of(kBytesModel);
  const std::vector<int64_t> prompt = {10};
  const GenerateOptions options{.sampler = {.temperature = 0}, .max_tokens = 5};
  Session session(model);
  const Generation plain = generate(session, nullptr, prompt, options, kIgnore);
  text::TokenSettings settings;
  settings.ends = {plain.ids.front()};
  const text::Tokenizer pieces = text::Tokenizer::parse_pieces(piece_file(), "test", settings);
  session.reset();
  std::string shown;
  const Generation ended =
      generate(session, &pieces, prompt, options,
               [&shown](int64_t, std::string_view part) { return shown += part, true; });
  EXPECT_EQ(ended.end, Generation::End::kSpecial);
  EXPECT_EQ(ended.ids, (std::vector<int64_t>{plain.ids.front()}));
  EXPECT_EQ(shown, "");
}

TEST(Generate, EndsWhenTheSinkAsksForIt) {
  Session session(model_of(kBytesModel));
  const std::vector<int64_t> prompt = {10};
  int calls = 0;
  const Generation generation = generate(
      session, nullptr, prompt, {}, [&calls](int64_t, std::string_view) { return ++calls < 5; });
  EXPECT_EQ(generation.end, Generation::End::kAsked);
  EXPECT_EQ(generation.ids.size(), 5u);
}

TEST(Generate, RefusesWhatMakesNoSense) {
  const std::vector<int64_t> prompt = {1};
  Session session(model_of(kBytesModel));
  EXPECT_THROW(generate(session, nullptr, {}, {}, kIgnore), InvalidArgument);
  EXPECT_THROW(generate(session, nullptr, prompt, {.sampler = {}, .stops = {"x"}}, kIgnore),
               InvalidArgument);
  const std::vector<int64_t> outside = {256};
  EXPECT_THROW(generate(session, nullptr, outside, {}, kIgnore), InvalidArgument);
  Session classes(
      model_of({"Classes", {}, {Interface::Input::kTokens, 9, Interface::Output::kSequence, 9}}));
  EXPECT_THROW(generate(classes, nullptr, prompt, {}, kIgnore), InvalidArgument);
  Session smaller(
      model_of({"Small", {}, {Interface::Input::kTokens, 9, Interface::Output::kStep, 9}}));
  const text::Tokenizer bytes = text::Tokenizer::bytes();
  EXPECT_THROW(generate(smaller, &bytes, prompt, {}, kIgnore), DataError);
}

}  // namespace
}  // namespace longwave::runtime
