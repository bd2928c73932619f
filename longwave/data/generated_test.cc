// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/generated.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/data/white_signal.h"

namespace longwave::data {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

constexpr uint64_t kSeed = 11;

std::unique_ptr<Dataset> open(std::string_view name, const std::vector<std::string>& settings = {},
                              Split split = Split::kTrain, uint64_t seed = kSeed) {
  Options options(source(name).schema());
  for (const std::string& setting : settings) options.assign(setting, "test");
  return source(name).open(options, split, seed);
}

const std::vector<std::string> kGenerators = {
    "delay",  "reconstruct", "adding", "copying", "selective_copying", "mackey_glass",
    "parity", "induction",   "recall", "mqar",    "listops",           "pathfinder"};

bool same(const Example& a, const Example& b) {
  return a.input == b.input && a.tokens == b.tokens && a.value == b.value && a.label == b.label;
}

TEST(Generated, SameIndexSameBitsInAnyOrder) {
  for (const std::string& name : kGenerators) {
    SCOPED_TRACE(name);
    const auto first = open(name), second = open(name);
    ASSERT_GT(first->size(), 5);
    const Example five = first->example(5);
    static_cast<void>(second->example(0));
    EXPECT_TRUE(same(five, second->example(5)));
    EXPECT_TRUE(same(five, first->example(5)));
  }
}

TEST(Generated, IndexSplitAndSeedAllMatter) {
  for (const std::string& name : kGenerators) {
    SCOPED_TRACE(name);
    const auto train = open(name);
    const Example one = train->example(1);
    EXPECT_FALSE(same(one, train->example(2)));
    EXPECT_FALSE(same(one, open(name, {}, Split::kValidation)->example(1)));
    EXPECT_FALSE(same(one, open(name, {}, Split::kTest)->example(1)));
    EXPECT_FALSE(same(one, open(name, {}, Split::kTrain, kSeed + 1)->example(1)));
  }
}

TEST(Generated, SizesComeFromTheOptions) {
  const auto train = open("adding", {"examples=17", "held_out=3"});
  EXPECT_EQ(train->size(), 17);
  EXPECT_EQ(open("adding", {"examples=17", "held_out=3"}, Split::kTest)->size(), 3);
  EXPECT_THROW(static_cast<void>(train->example(17)), InvalidArgument);
  EXPECT_THROW(static_cast<void>(train->example(-1)), InvalidArgument);
}

std::complex<double> coefficient(const std::vector<float>& x, int64_t k) {
  std::complex<double> sum = 0;
  const auto length = static_cast<int64_t>(x.size());
  for (int64_t t = 0; t < length; ++t) {
    const double turn = static_cast<double>(k * t % length) / static_cast<double>(length);
    sum += std::polar(static_cast<double>(x[t]), -2 * std::numbers::pi * turn);
  }
  return sum / static_cast<double>(length);
}

TEST(WhiteSignal, HasNoPowerAboveItsFrequency) {
  for (const int64_t length : {100, 101, 360}) {
    const WhiteSignal signal = {.length = length, .dt = 0.01, .frequency = 20, .rms = 0.5};
    const int64_t harmonics = length / 5;
    Random random(kSeed);
    const std::vector<float> x = white_signal(signal, random);
    ASSERT_EQ(x.size(), static_cast<size_t>(length));
    EXPECT_EQ(x[0], 0.0f);
    Worst worst("power above the limit");
    for (int64_t k = harmonics + 1; k <= length / 2; ++k) {
      worst.compare(k, 0.0, coefficient(x, k), Tolerance::sum<float>(length, 2.0));
    }
    EXPECT_TRUE(worst.ok());
    EXPECT_GT(std::abs(coefficient(x, harmonics)), 0.005);
  }
}

TEST(WhiteSignal, PowerIsEqualAndHasTheRootMeanSquareAskedFor) {
  constexpr int64_t kSignals = 2000, kHarmonics = 10;
  const WhiteSignal signal = {.length = 64, .dt = 1, .frequency = 10.0 / 64, .rms = 0.7};
  std::vector<double> power(kHarmonics + 1);
  for (int64_t i = 0; i < kSignals; ++i) {
    Random random(kSeed, static_cast<uint64_t>(i));
    const std::vector<float> x = white_signal(signal, random);
    for (int64_t k = 1; k <= kHarmonics; ++k) power[k] += 2 * std::norm(coefficient(x, k));
  }
  // The power of a harmonic is (a^2 + b^2) / 2: mean rms^2 / K, deviation the same; six of them.
  const double expected = 0.7 * 0.7 / kHarmonics;
  const double bound = 6 * expected / std::sqrt(static_cast<double>(kSignals));
  for (int64_t k = 1; k <= kHarmonics; ++k) {
    EXPECT_NEAR(power[k] / kSignals, expected, bound) << "harmonic " << k;
  }
}

TEST(Delay, TargetIsTheInputLagSamplesEarlier) {
  for (const int64_t lag : {0, 1, 37, 199}) {
    const auto dataset =
        open("delay", {"length=200", "dt=0.005", "frequency=40", "lag=" + std::to_string(lag)});
    const Example example = dataset->example(3);
    ASSERT_EQ(example.input.size(), 200u);
    ASSERT_EQ(example.value.size(), 200u);
    for (int64_t t = 0; t < 200; ++t) {
      EXPECT_EQ(example.value[t], t < lag ? 0.0f : example.input[t - lag]) << t;
    }
  }
}

TEST(Delay, DefaultsAreThoseOfTheTask) {
  const auto dataset = open("delay");
  EXPECT_EQ(dataset->size(), 16384);
  EXPECT_EQ(dataset->info().length, 4000);
  EXPECT_EQ(dataset->info().target, TaskInfo::Target::kValuePerStep);
  const Example example = dataset->example(0);
  EXPECT_EQ(example.value[999], 0.0f);
  EXPECT_EQ(example.value[1000], example.input[0]);
  EXPECT_EQ(example.value[3999], example.input[2999]);
}

TEST(Delay, RejectsOptionsThatDisagree) {
  EXPECT_THROW(open("delay", {"lag=4000"}), ConfigError);
  EXPECT_THROW(open("delay", {"frequency=2001"}), ConfigError);
  EXPECT_THROW(open("delay", {"frequency=0.5"}), ConfigError);
  EXPECT_NO_THROW(open("delay", {"frequency=2000"})->example(0));
}

TEST(Reconstruct, TargetIsTheEndOfTheInput) {
  const auto dataset = open("reconstruct", {"length=100", "dt=0.01", "frequency=20", "memory=30"});
  EXPECT_EQ(dataset->info().target_size, 30);
  const Example example = dataset->example(0);
  ASSERT_EQ(example.value.size(), 30u);
  for (size_t i = 0; i < 30; ++i) EXPECT_EQ(example.value[i], example.input[70 + i]);
  EXPECT_THROW(open("reconstruct", {"memory=4001"}), ConfigError);
}

TEST(Adding, TargetIsTheSumOfTheMarkedNumbers) {
  for (const int64_t length : {2, 3, 50, 1000}) {
    const auto dataset = open("adding", {"length=" + std::to_string(length)});
    for (int64_t i = 0; i < 20; ++i) {
      const Example example = dataset->example(i);
      ASSERT_EQ(example.input.size(), static_cast<size_t>(2 * length));
      float sum = 0;
      std::vector<int64_t> marked;
      for (int64_t t = 0; t < length; ++t) {
        const float number = example.input[2 * t], marker = example.input[2 * t + 1];
        EXPECT_TRUE(number >= 0 && number <= 1);
        EXPECT_TRUE(marker == 0 || marker == 1);
        if (marker == 1) {
          marked.push_back(t);
          sum += number;
        }
      }
      ASSERT_EQ(marked.size(), 2u);
      EXPECT_LT(marked[0], length / 2);
      EXPECT_GE(marked[1], length / 2);
      EXPECT_EQ(example.value, std::vector<float>{sum});
    }
  }
}

TEST(Adding, TrivialAnswerCostsOneSixth) {
  const auto dataset = open("adding", {"length=10"});
  constexpr int64_t kExamples = 5000;
  double error = 0;
  for (int64_t i = 0; i < kExamples; ++i) {
    error += std::pow(dataset->example(i).value[0] - 1, 2);
  }
  // (u + v - 1)^2 has mean 1/6 and variance 7/180; six deviations.
  EXPECT_NEAR(error / kExamples, 1.0 / 6, 6 * std::sqrt(7.0 / 180 / kExamples));
}

void expect_copying(const Dataset& dataset, int64_t lag, int64_t symbols, int64_t alphabet,
                    bool reverse, bool at_the_start) {
  const TaskInfo& info = dataset.info();
  EXPECT_EQ(info.input_size, alphabet);
  EXPECT_EQ(info.target_size, alphabet);
  EXPECT_EQ(info.length, lag + 2 * symbols);
  const Example example = dataset.example(4);
  ASSERT_EQ(example.tokens.size(), static_cast<size_t>(lag + 2 * symbols));
  ASSERT_EQ(example.label.size(), example.tokens.size());
  std::vector<int64_t> found;
  for (int64_t t = 0; t < lag + symbols; ++t) {
    EXPECT_EQ(example.label[t], -1);
    const int64_t token = example.tokens[t];
    EXPECT_TRUE(token >= 0 && token <= alphabet - 2);
    if (token == 0) continue;
    if (at_the_start) {
      EXPECT_LT(t, symbols);
    }
    found.push_back(token);
  }
  ASSERT_EQ(found.size(), static_cast<size_t>(symbols));
  if (reverse) std::ranges::reverse(found);
  for (int64_t i = 0; i < symbols; ++i) {
    EXPECT_EQ(example.tokens[lag + symbols + i], alphabet - 1);
    EXPECT_EQ(example.label[lag + symbols + i], found[i]);
  }
}

TEST(Copying, TokensAreAskedForUnderTheMarkers) {
  expect_copying(*open("copying"), 100, 10, 10, false, true);
  expect_copying(*open("copying", {"lag=0", "symbols=100", "alphabet=64"}), 0, 100, 64, false,
                 true);
  expect_copying(*open("copying", {"lag=3", "symbols=1", "alphabet=3", "order=reverse"}), 3, 1, 3,
                 true, true);
  expect_copying(*open("copying", {"lag=5", "symbols=7", "order=reverse"}), 5, 7, 10, true, true);
}

TEST(SelectiveCopying, TokensStandAtRandomPlaces) {
  expect_copying(*open("selective_copying"), 4080, 16, 16, false, false);
  expect_copying(*open("selective_copying", {"lag=0", "symbols=5"}), 0, 5, 16, false, false);
  const auto dataset = open("selective_copying", {"lag=6", "symbols=2"});
  std::vector<int64_t> counts(8);
  constexpr int64_t kExamples = 4000;
  for (int64_t i = 0; i < kExamples; ++i) {
    const Example example = dataset->example(i);
    for (int64_t t = 0; t < 8; ++t) counts[t] += example.tokens[t] != 0 ? 1 : 0;
  }
  // Each place holds a token with probability 2/8; six deviations.
  const double bound = 6 * std::sqrt(kExamples * 0.25 * 0.75);
  for (int64_t t = 0; t < 8; ++t) EXPECT_NEAR(counts[t], kExamples * 0.25, bound) << t;
}

TEST(MackeyGlass, TargetIsTheInputAhead) {
  const auto dataset = open("mackey_glass", {"length=200", "predict=15"});
  const Example example = dataset->example(0);
  ASSERT_EQ(example.input.size(), 200u);
  for (int64_t t = 0; t + 15 < 200; ++t) EXPECT_EQ(example.value[t], example.input[t + 15]);
}

TEST(MackeyGlass, SeriesObeysTheEquation) {
  // With tau = 1 the right side changes slowly over one sample, so central differences of the
  // samples must agree with the equation up to their own error and that of Euler's method.
  const auto dataset = open("mackey_glass", {"length=400", "tau=1", "predict=0"});
  const Example example = dataset->example(0);
  std::vector<double> x;
  for (float squashed : example.input) x.push_back(1 + std::atanh(static_cast<double>(squashed)));
  for (size_t t = 100; t + 1 < x.size(); ++t) {
    const double slope = (x[t + 1] - x[t - 1]) / 2;
    const double delayed = x[t - 1];
    const double right = 0.2 * delayed / (1 + std::pow(delayed, 10)) - 0.1 * x[t];
    EXPECT_NEAR(slope, right, 0.02) << t;
  }
  // It rests where 0.2 / (1 + x^10) = 0.1, which is x = 1.
  EXPECT_NEAR(x.back(), 1, 1e-3);
}

TEST(MackeyGlass, IsChaoticAtSeventeen) {
  const auto dataset = open("mackey_glass", {"length=2000"});
  const Example one = dataset->example(0), two = dataset->example(1);
  double mean = 0, variance = 0, apart = 0;
  for (size_t t = 1000; t < 2000; ++t) mean += one.input[t] / 1000;
  for (size_t t = 1000; t < 2000; ++t) {
    variance += std::pow(one.input[t] - mean, 2) / 1000;
    apart += std::pow(one.input[t] - two.input[t], 2) / 1000;
  }
  EXPECT_GT(variance, 0.02);
  EXPECT_GT(apart, variance / 4);
}

TEST(Parity, LabelFollowsTheBits) {
  for (const std::string task : {"parity", "majority", "cumulative"}) {
    SCOPED_TRACE(task);
    const auto dataset = open("parity", {"task=" + task, "length=9", "shortest=2"});
    std::set<size_t> lengths;
    int64_t ones_of_labels = 0;
    for (int64_t i = 0; i < 300; ++i) {
      Example example = dataset->example(i);
      if (task != "cumulative") {
        EXPECT_EQ(example.tokens.back(), 2);
        example.tokens.pop_back();
        ASSERT_EQ(example.label.size(), 1u);
      }
      const auto count = static_cast<int64_t>(example.tokens.size());
      lengths.insert(example.tokens.size());
      int64_t ones = 0;
      for (int64_t t = 0; t < count; ++t) {
        ASSERT_TRUE(example.tokens[t] == 0 || example.tokens[t] == 1);
        ones += example.tokens[t];
        if (task == "cumulative") {
          EXPECT_EQ(example.label[t], ones % 2);
        }
      }
      if (task == "parity") {
        EXPECT_EQ(example.label[0], ones % 2);
      }
      if (task == "majority") {
        EXPECT_EQ(example.label[0], 2 * ones > count ? 1 : 0);
      }
      ones_of_labels += example.label.back();
    }
    EXPECT_EQ(lengths, (std::set<size_t>{2, 3, 4, 5, 6, 7, 8, 9}));
    EXPECT_GT(ones_of_labels, 75);
    EXPECT_LT(ones_of_labels, 225);
  }
  EXPECT_THROW(open("parity", {"length=3", "shortest=4"}), ConfigError);
}

TEST(Source, NamesAreUniqueAndNearOnesAreSuggested) {
  std::set<std::string_view> names;
  for (const Source& each : sources()) {
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_FALSE(each.summary.empty());
    EXPECT_EQ(&source(each.name), &each);
    for (const Option& option : each.schema()) EXPECT_FALSE(option.help.empty()) << option.key;
  }
  try {
    static_cast<void>(source("fashion_mnits"));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean fashion_mnist?"), std::string::npos);
  }
}

}  // namespace
}  // namespace longwave::data
