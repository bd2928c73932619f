// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/data/dataset.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {
namespace {

using data::Example;
using data::TaskInfo;

constexpr double kRounding = 1e-12;

double value_of(const std::vector<std::pair<std::string, double>>& found, const std::string& name) {
  for (const auto& [known, value] : found) {
    if (known == name) return value;
  }
  return std::nan("");
}

Example labelled(std::vector<int64_t> label) {
  Example example;
  example.label = std::move(label);
  return example;
}

Example valued(std::vector<float> value) {
  Example example;
  example.value = std::move(value);
  return example;
}

TEST(Score, EqualLogitsCostTheLogarithmOfTheClasses) {
  const TaskInfo info{.target = TaskInfo::Target::kClass, .target_size = 7};
  const std::vector<float> logits(7, 2.5F);
  const Score found = score(info, labelled({4}), logits);
  EXPECT_NEAR(found.loss, std::log(7.0), kRounding);
  EXPECT_EQ(found.asked, 1);
}

TEST(Metrics, TextIsJudgedInBitsPerByte) {
  // Tokens 0 and 1 are "a" and "bc": equal logits cost one bit each, three bytes in all.
  const auto tokenizer = std::make_shared<const text::Tokenizer>(text::Tokenizer::parse(
      R"({"pre_tokenizer":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"bc":1},"merges":[]}})",
      "test"));
  TaskInfo info{.target = TaskInfo::Target::kClassPerStep, .target_size = 2};
  EXPECT_EQ(deciding_metric(info), "accuracy");
  info.tokenizer = tokenizer;
  EXPECT_EQ(deciding_metric(info), "loss");
  const Score found = score(info, labelled({0, -1, 1}), std::vector<float>(6, 0.25F));
  EXPECT_NEAR(value_of(metrics(info, found), "bits_per_byte"), 2.0 / 3.0, kRounding);
}

TEST(Score, LargeLogitsDoNotOverflow) {
  const TaskInfo info{.target = TaskInfo::Target::kClass, .target_size = 3};
  const std::vector<float> logits{1e30F, 0, -1e30F};
  const Score found = score(info, labelled({0}), logits);
  EXPECT_EQ(found.loss, 0.0);
  EXPECT_EQ(found.right, 1);
}

TEST(Score, NotANumberIsNotHidden) {
  const TaskInfo info{.target = TaskInfo::Target::kClass, .target_size = 2};
  const std::vector<float> logits{1, std::nanf("")};
  EXPECT_TRUE(std::isnan(score(info, labelled({0}), logits).loss));
}

TEST(Score, StepsThatAreNotAskedCountForNothing) {
  const TaskInfo classes{.target = TaskInfo::Target::kClassPerStep, .target_size = 2};
  const std::vector<float> logits{0, 1, 5, 0, 3, 0};
  const Score labels = score(classes, labelled({1, -1, 0}), logits);
  EXPECT_EQ(labels.asked, 2);
  EXPECT_EQ(labels.right, 2);
  const TaskInfo values{.target = TaskInfo::Target::kValuePerStep, .target_size = 1};
  const Score numbers =
      score(values, valued({std::nanf(""), 2.0F, 1.0F}), std::vector<float>{9, 2, 3});
  EXPECT_EQ(numbers.asked, 2);
  EXPECT_NEAR(numbers.squares, 4.0, kRounding);
}

TEST(Score, MeanOfTheValuesHasNormalisedErrorOne) {
  TaskInfo info{.target = TaskInfo::Target::kValue, .target_size = 1};
  info.target_shift = {10};
  info.target_scale = {4};
  const std::vector<float> values{3, 9, 12, 20};
  Score total;
  for (const float value : values) total += score(info, valued({value}), std::vector<float>{11});
  const auto found = metrics(info, total);
  EXPECT_NEAR(value_of(found, "nmse"), 1.0, kRounding);
  EXPECT_NEAR(value_of(found, "mse"), (64.0 + 4 + 1 + 81) / 4, kRounding);
  EXPECT_NEAR(value_of(found, "loss"), (64.0 + 4 + 1 + 81) / 4 / 16, kRounding);
}

models::Config small_config() {
  Options settings(models::config_schema("s4d*2"));
  settings.set("model.pattern", std::string("s4d*2"), "test");
  settings.set("model.d_model", int64_t{8}, "test");
  return models::make_config({.input_size = 2, .output_size = 1}, settings);
}

std::unique_ptr<data::Dataset> adding(int64_t count) {
  const data::Source& source = data::source("adding");
  Options options(source.schema());
  options.set("length", int64_t{17}, "test");
  options.set("held_out", count, "test");
  return source.open(options, data::Split::kTest, 5);
}

TEST(Evaluate, ResultDoesNotDependOnTheNumberOfThreads) {
  const models::Config config = small_config();
  const models::SequenceModel network(config, initialise(models::parameters(config), 1));
  const auto dataset = adding(23);
  const int before = thread_count();
  set_thread_count(1);
  const Evaluation alone = evaluate(network, *dataset);
  set_thread_count(3);
  const Evaluation together = evaluate(network, *dataset);
  set_thread_count(before);
  EXPECT_EQ(alone.metrics, together.metrics);
  EXPECT_EQ(alone.examples, 23);
  EXPECT_EQ(alone.steps, 23 * 17);
}

TEST(Evaluate, LimitLooksAtTheFirstOnly) {
  const models::Config config = small_config();
  const models::SequenceModel network(config, initialise(models::parameters(config), 1));
  EXPECT_EQ(evaluate(network, *adding(23), 4).metrics, evaluate(network, *adding(4)).metrics);
}

TEST(Evaluate, OtherDataIsRefused) {
  const models::Config config = small_config();
  const models::SequenceModel network(config, initialise(models::parameters(config), 1));
  const data::Source& source = data::source("parity");
  const auto dataset = source.open(Options(source.schema()), data::Split::kTest, 0);
  EXPECT_THROW(static_cast<void>(evaluate(network, *dataset)), DataError);
}

}  // namespace
}  // namespace longwave::runtime
