// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/options.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "longwave/base/error.h"

namespace longwave {
namespace {

Schema example_schema() {
  return {
      {.key = "train.lr", .value = 0.01, .help = "learning rate", .least = 0, .most = 1},
      {.key = "train.steps", .value = 100, .help = "steps", .least = 1},
      {.key = "model.norm", .value = "layer", .help = "norm", .choices = {"layer", "batch"}},
      {.key = "model.prenorm", .value = true, .help = "norm first"},
      {.key = "data.pools", .value = std::vector<int64_t>{4, 4}, .help = "pooling"},
  };
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

TEST(Options, StartAtTheirDefaults) {
  const Options options(example_schema());
  EXPECT_EQ(options.real("train.lr"), 0.01);
  EXPECT_EQ(options.integer("train.steps"), 100);
  EXPECT_EQ(options.text("model.norm"), "layer");
  EXPECT_TRUE(options.flag("model.prenorm"));
}

TEST(Options, TextReadsBackWhatIsWritten) {
  Options options(example_schema());
  options.assign("train.lr=3e-4", "--set");
  options.assign("train.steps=7", "--set");
  options.assign("model.norm=batch", "--set");
  options.assign("model.prenorm=false", "--set");
  options.assign("data.pools=[1, 2,3]", "--set");
  Options again(example_schema());
  for (const Option& option : options.schema()) {
    again.parse(option.key, to_string(options.at(option.key)), "copy");
    EXPECT_EQ(again.at(option.key), options.at(option.key)) << option.key;
  }
}

TEST(Options, IntegersServeAsRealNumbers) {
  Options options(example_schema());
  options.set("train.lr", int64_t{1}, "recipe.toml:2");
  EXPECT_EQ(options.real("train.lr"), 1.0);
  EXPECT_EQ(to_string(options.at("train.lr")), "1.0");
}

TEST(Options, UnknownKeysAreRefusedWithASuggestion) {
  Options options(example_schema());
  const std::string message = message_of([&] { options.set("train.lrr", 0.1, "recipe.toml:4"); });
  EXPECT_NE(message.find("recipe.toml:4"), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean train.lr?"), std::string::npos) << message;
  EXPECT_NE(message_of([&] { options.assign("nothing", "--set"); }).find("key=value"),
            std::string::npos);
}

TEST(Options, WrongTypesRangesAndChoicesAreRefused) {
  Options options(example_schema());
  EXPECT_THROW(options.assign("train.steps=1.5", "x"), ConfigError);
  EXPECT_THROW(options.assign("train.steps=", "x"), ConfigError);
  EXPECT_THROW(options.assign("train.steps=0", "x"), ConfigError);
  EXPECT_NE(message_of([&] { options.assign("train.lr=nan", "x"); }).find("must be a number"),
            std::string::npos);
  EXPECT_THROW(options.assign("train.lr=2", "x"), ConfigError);
  EXPECT_THROW(options.assign("data.pools=[1,a]", "x"), ConfigError);
  EXPECT_THROW(options.set("model.prenorm", int64_t{1}, "x"), ConfigError);
  EXPECT_NE(message_of([&] { options.assign("model.norm=batsch", "x"); }).find("\"batch\"?"),
            std::string::npos);
  EXPECT_EQ(options.integer("train.steps"), 100) << "a refused value must change nothing";
}

TEST(Options, SectionsTakeTheirPrefixOff) {
  Options options(example_schema());
  options.assign("train.lr=0.5", "x");
  const Options train = options.section("train");
  EXPECT_EQ(train.schema().size(), 2u);
  EXPECT_EQ(train.real("lr"), 0.5);
  EXPECT_FALSE(train.has("norm"));
  EXPECT_EQ(in_section("s4d", {{.key = "state", .value = 64, .help = ""}})[0].key, "s4d.state");
}

TEST(Nearest, NeverSuggestsWhatIsFar) {
  EXPECT_EQ(nearest("selctive", {"selective", "delay"}), "selective");
  EXPECT_EQ(nearest("zzzzzz", {"selective", "delay"}), "");
}

}  // namespace
}  // namespace longwave
