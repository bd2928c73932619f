// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/dataset.h"
#include "longwave/data/snakes.h"

namespace longwave::data {
namespace {

std::unique_ptr<Dataset> open(std::string_view name, const std::vector<std::string>& settings = {},
                              Split split = Split::kTrain) {
  Options options(source(name).schema());
  for (const std::string& setting : settings) options.assign(setting, "test");
  return source(name).open(options, split, 5);
}

int64_t asked_in(const Example& example) {
  return std::ranges::count_if(example.label, [](int64_t label) { return label >= 0; });
}

TEST(Induction, AnswerFollowedThePrefixToken) {
  for (const int64_t length : {4, 5, 30, 256}) {
    const auto dataset = open("induction", {"length=" + std::to_string(length)});
    std::set<int64_t> places;
    for (int64_t i = 0; i < 400; ++i) {
      const Example example = dataset->example(i);
      ASSERT_EQ(example.tokens.size(), static_cast<size_t>(length));
      EXPECT_EQ(std::ranges::count(example.tokens, 14), 2);
      EXPECT_EQ(std::ranges::count(example.tokens, 15), 0);
      EXPECT_EQ(example.tokens.back(), 14);
      const auto place = std::ranges::find(example.tokens, 14) - example.tokens.begin();
      EXPECT_EQ(example.label.back(), example.tokens[place + 1]);
      for (int64_t t = 0; t + 1 < length; ++t) {
        EXPECT_EQ(example.label[t], example.tokens[t + 1]);
      }
      places.insert(place);
    }
    EXPECT_EQ(*places.begin(), 0);
    EXPECT_LE(*places.rbegin(), length - 4);
    EXPECT_GE(*places.rbegin(), (length - 4) / 2);
  }
}

TEST(Recall, AnswerIsTheValueOfTheKey) {
  const auto dataset = open("recall");
  EXPECT_EQ(dataset->info().length, 42);
  for (int64_t i = 0; i < 200; ++i) {
    const Example example = dataset->example(i);
    std::map<int64_t, int64_t> value_of;
    for (size_t pair = 0; pair < 20; ++pair) {
      const int64_t key = example.tokens[2 * pair], value = example.tokens[2 * pair + 1];
      EXPECT_TRUE(key >= 0 && key < 9 && value >= 9 && value < 18);
      EXPECT_EQ(value_of.emplace(key, value).first->second, value);
    }
    EXPECT_EQ(example.tokens[40], 18);
    EXPECT_EQ(example.label.back(), value_of.at(example.tokens[41]));
  }
}

TEST(Questions, HeldOutSplitsAskForTheAnswerOnly) {
  for (const std::string name : {"induction", "recall"}) {
    EXPECT_EQ(asked_in(open(name, {}, Split::kTest)->example(3)), 1);
    EXPECT_EQ(asked_in(open(name, {"asked=answer"})->example(3)), 1);
    const Example every = open(name)->example(3);
    EXPECT_EQ(asked_in(every), static_cast<int64_t>(every.tokens.size()));
  }
}

void expect_mqar(const Example& example, size_t pairs, int64_t vocabulary, bool zeros) {
  std::map<int64_t, int64_t> value_of;
  std::set<int64_t> values, asked;
  for (size_t pair = 0; pair < pairs; ++pair) {
    const int64_t key = example.tokens[2 * pair], value = example.tokens[2 * pair + 1];
    EXPECT_TRUE(key >= 1 && key < vocabulary / 2) << key;
    EXPECT_TRUE(value >= vocabulary / 2 && value < vocabulary) << value;
    EXPECT_TRUE(value_of.emplace(key, value).second) << "keys differ";
    EXPECT_TRUE(values.insert(value).second) << "values differ";
  }
  for (size_t t = 0; t < example.tokens.size(); ++t) {
    if (example.label[t] < 0) {
      if (zeros && t >= 2 * pairs) {
        EXPECT_EQ(example.tokens[t], 0) << t;
      }
      continue;
    }
    EXPECT_GE(t, 2 * pairs);
    EXPECT_EQ(t % 2, 0u);
    EXPECT_EQ(example.label[t], value_of.at(example.tokens[t]));
    EXPECT_TRUE(asked.insert(example.tokens[t]).second) << "each key is asked for once";
  }
  EXPECT_EQ(asked.size(), pairs);
}

TEST(Mqar, EveryKeyIsAskedForOnceAfterThePairs) {
  for (int64_t i = 0; i < 100; ++i) {
    expect_mqar(open("mqar")->example(i), 4, 8192, true);
    expect_mqar(open("mqar", {"filler=random"})->example(i), 4, 8192, false);
    expect_mqar(open("mqar", {"length=33", "pairs=8", "vocabulary=19"})->example(i), 8, 19, true);
    expect_mqar(open("mqar", {"length=4", "pairs=1", "vocabulary=4"})->example(i), 1, 4, true);
  }
  EXPECT_THROW(open("mqar", {"pairs=17"}), ConfigError);
  EXPECT_THROW(open("mqar", {"vocabulary=9"}), ConfigError);
}

TEST(Mqar, GapsHaveTheirWeights) {
  // One pair: gap g has probability (g + 1)^(a - 1) over the sum.
  const auto dataset = open("mqar", {"length=10", "pairs=1", "power=0.01"});
  constexpr int64_t kExamples = 20000;
  std::vector<int64_t> counts(4);
  for (int64_t i = 0; i < kExamples; ++i) {
    const Example example = dataset->example(i);
    for (size_t gap = 0; gap < 4; ++gap) counts[gap] += example.label[2 + 2 * gap] >= 0 ? 1 : 0;
  }
  double sum = 0;
  for (int gap = 0; gap < 4; ++gap) sum += std::pow(gap + 1, -0.99);
  for (int gap = 0; gap < 4; ++gap) {
    const double share = std::pow(gap + 1, -0.99) / sum;
    const double bound = 6 * std::sqrt(kExamples * share * (1 - share));
    EXPECT_NEAR(static_cast<double>(counts[gap]), kExamples * share, bound) << gap;
  }
}

/// Evaluates an expression by its grammar alone.
int64_t value_at(const std::vector<int64_t>& tokens, size_t& at) {
  const int64_t token = tokens.at(at++);
  if (token < 10) return token;
  std::vector<int64_t> values;
  while (tokens.at(at) != 14) values.push_back(value_at(tokens, at));
  ++at;
  std::ranges::sort(values);
  const size_t count = values.size();
  int64_t sum = 0;
  for (int64_t value : values) sum += value;
  EXPECT_TRUE(count >= 2 && count <= 10);
  if (token == 10) return values.front();
  if (token == 11) return values.back();
  const double median =
      (static_cast<double>(values[(count - 1) / 2]) + static_cast<double>(values[count / 2])) / 2;
  return token == 12 ? static_cast<int64_t>(median) : sum % 10;
}

TEST(Listops, LabelIsTheValueOfTheExpression) {
  const auto dataset = open("listops");
  double lengths = 0;
  constexpr int64_t kExamples = 200;
  for (int64_t i = 0; i < kExamples; ++i) {
    Example example = dataset->example(i);
    ASSERT_EQ(example.tokens.back(), 17);
    example.tokens.pop_back();
    EXPECT_GT(example.tokens.size(), 500u);
    EXPECT_LT(example.tokens.size(), 2000u);
    size_t at = 0;
    EXPECT_EQ(value_at(example.tokens, at), example.label.at(0));
    EXPECT_EQ(at, example.tokens.size());
    lengths += static_cast<double>(example.tokens.size()) / kExamples;
  }
  // The published generator keeps trees of 1037 tokens on average; quartiles 703 and 1336 put one
  // deviation near 420, so that this is six deviations of the mean.
  EXPECT_NEAR(lengths, 1037, 6 * 420 / std::sqrt(kExamples));
}

TEST(Listops, SmallOnesAreInReachAndOthersAreRefused) {
  const auto dataset = open("listops", {"shortest=0", "length=2", "depth=1"});
  EXPECT_EQ(dataset->example(0).tokens.size(), 2u);
  EXPECT_EQ(dataset->example(0).tokens[0], dataset->example(0).label[0]);
  EXPECT_THROW(open("listops", {"depth=2", "shortest=50"}), ConfigError);
  EXPECT_THROW(open("listops", {"shortest=10", "length=11"}), ConfigError);
}

TEST(Pathfinder, PicturesAreGreyAndBalanced) {
  const auto dataset = open("pathfinder");
  EXPECT_EQ(dataset->info().length, 1024);
  int64_t ones = 0;
  for (int64_t i = 0; i < 100; ++i) {
    const Example example = dataset->example(i);
    ASSERT_EQ(example.input.size(), 1024u);
    EXPECT_TRUE(std::ranges::all_of(
        example.input, [](float x) { return x >= 0 && x <= 255 && x == std::round(x); }));
    EXPECT_EQ(std::ranges::max(example.input), 255.0F);
    ones += example.label.at(0);
  }
  EXPECT_NEAR(static_cast<double>(ones), 50, 30);
}

TEST(Pathfinder, SnakesKeepTheirDistanceAndMarkersTheirSnake) {
  using Ends = SnakePicture::Ends;
  const SnakeStyle style;
  Random random(3);
  int drawn = 0;
  while (drawn < 50) {
    const Ends ends = drawn % 2 == 0 ? Ends::kSame : Ends::kDifferent;
    const auto picture = SnakePicture::draw(style, ends, random);
    if (!picture) continue;
    ++drawn;
    std::vector<int64_t> marked;
    std::map<int64_t, int64_t> count;
    for (const auto& paddle : picture->paddles()) ++count[paddle.snake];
    EXPECT_EQ(count[0], style.contour);
    EXPECT_EQ(count[1], style.contour);
    for (const auto& marker : picture->markers()) {
      for (const auto& paddle : picture->paddles()) {
        const bool here = std::hypot(marker.x - paddle.from.x, marker.y - paddle.from.y) == 0 ||
                          std::hypot(marker.x - paddle.to.x, marker.y - paddle.to.y) == 0;
        if (here) marked.push_back(paddle.snake);
      }
    }
    ASSERT_EQ(marked.size(), 2u);
    EXPECT_EQ(marked[0] == marked[1], ends == Ends::kSame);
    // Ends of different snakes' paddles are no nearer than the room around a paddle less the
    // rounding to pixels.
    for (const auto& a : picture->paddles()) {
      for (const auto& b : picture->paddles()) {
        if (a.snake == b.snake) continue;
        EXPECT_GT(std::hypot(a.to.x - b.to.x, a.to.y - b.to.y), style.margin - std::sqrt(0.5));
      }
    }
  }
}

}  // namespace
}  // namespace longwave::data
