// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/config_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

using testing::message_of;
using testing::TemporaryFolder;

using List = std::vector<int64_t>;

Schema example_schema() {
  return {{.key = "seed", .value = int64_t{1}, .help = "seed of everything"},
          {.key = "train.lr", .value = 0.001, .help = "learning rate"},
          {.key = "train.clip.norm", .value = 1.0, .help = ""},
          {.key = "train.resume", .value = false, .help = "continue"},
          {.key = "model.pattern", .value = std::string("s4d*4"), .help = "layers"},
          {.key = "model.widths", .value = List{4, 8}, .help = "widths"},
          {.key = "train.steps", .value = int64_t{100}, .help = "steps"},
          {.key = "odd name.key with space", .value = std::string(), .help = ""}};
}

TEST(ConfigFile, TomlBecomesDottedKeysWithLines) {
  const auto settings = parse_toml(
      "# recipe\n"
      "seed = 3\n"
      "train.lr = 1e-2\n"
      "\n"
      "[model]\n"
      "pattern = 's4d*2'  # two layers\n"
      "widths = [\n  1,\n  2 ]\n"
      "[train.clip]\n"
      "norm = inf\n"
      "[other]\n"
      "inline = { a = true, b.c = \"x\" }\n",
      "r.toml");
  const std::vector<std::tuple<std::string, Value, int64_t>> expected = {
      {"seed", int64_t{3}, 2},
      {"train.lr", 0.01, 3},
      {"model.pattern", std::string("s4d*2"), 6},
      {"model.widths", List{1, 2}, 7},
      {"train.clip.norm", std::numeric_limits<double>::infinity(), 11},
      {"other.inline.a", true, 13},
      {"other.inline.b.c", std::string("x"), 13}};
  ASSERT_EQ(settings.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(settings[i].key, std::get<0>(expected[i]));
    EXPECT_EQ(settings[i].value, std::get<1>(expected[i])) << settings[i].key;
    EXPECT_EQ(settings[i].line, std::get<2>(expected[i])) << settings[i].key;
  }
}

TEST(ConfigFile, JsonBecomesDottedKeysWithLines) {
  const auto settings = parse_json(
      "{\n"
      "  \"seed\": 3,\n"
      "  \"train\": {\"lr\": 1e-2,\n"
      "    \"resume\": true},\n"
      "  \"model\": {\n"
      "    \"widths\": [1,\n -2], \"none\": [],\n"
      "    \"pattern\": \"a\\nb\"\n"
      "  }\n"
      "}\n",
      "c.json");
  const std::vector<std::tuple<std::string, Value, int64_t>> expected = {
      {"seed", int64_t{3}, 2},   {"train.lr", 0.01, 3},
      {"train.resume", true, 4}, {"model.widths", List{1, -2}, 6},
      {"model.none", List{}, 7}, {"model.pattern", std::string("a\nb"), 8}};
  ASSERT_EQ(settings.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(settings[i].key, std::get<0>(expected[i]));
    EXPECT_EQ(settings[i].value, std::get<1>(expected[i])) << settings[i].key;
    EXPECT_EQ(settings[i].line, std::get<2>(expected[i])) << settings[i].key;
  }
}

TEST(ConfigFile, OptionsRoundTrip) {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    Options options(example_schema());
    std::string text;
    for (int i = 0; i < round; ++i) text += static_cast<char>(random.integer(128));
    options.set("seed", static_cast<int64_t>(random.bits()), "test");
    options.set("train.lr", std::ldexp(random.normal(), static_cast<int>(random.integer(90)) - 50),
                "test");
    options.set("model.pattern", text, "test");
    options.set("odd name.key with space", "\xc3\xa9" + text, "test");
    options.set("model.widths", List(static_cast<size_t>(round), -7), "test");
    options.set("train.resume", round % 2 == 1, "test");
    Options from_toml(example_schema()), from_json(example_schema()), commented(example_schema());
    apply(parse_toml(to_toml(options), "t"), "t", from_toml);
    apply(parse_toml(to_toml(options, Comments::kHelp), "t"), "t", commented);
    apply(parse_json(to_json(options), "j"), "j", from_json);
    for (const Option& option : options.schema()) {
      EXPECT_EQ(options.at(option.key), from_toml.at(option.key)) << option.key;
      EXPECT_EQ(options.at(option.key), commented.at(option.key)) << option.key;
      EXPECT_EQ(options.at(option.key), from_json.at(option.key)) << option.key;
    }
  }
}

struct Bad {
  const char* why;
  std::string text;
  int line;
  const char* says;
};

void expect_rejected(const std::vector<Bad>& table, const std::string& name,
                     std::vector<Setting> (*parse)(std::string_view, std::string_view)) {
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.why);
    const std::string message =
        message_of<ConfigError>([&] { static_cast<void>(parse(bad.text, name)); });
    const std::string place = name + ":" + std::to_string(bad.line) + ":";
    EXPECT_NE(message.find(place), std::string::npos) << message;
    EXPECT_NE(message.find(bad.says), std::string::npos) << message;
  }
}

TEST(ConfigFile, RejectsBadToml) {
  std::string many_dots = "a = 1\n";
  for (int i = 0; i < 1000; ++i) many_dots += "b.";
  std::string many_tables = "a = [\n";
  for (int i = 0; i < 1000; ++i) many_tables += "{b=[\n";
  std::string deep = "[";
  for (int i = 0; i < 40; ++i) deep += "a.";
  expect_rejected({{"syntax", "a = 1\nb = = 2\n", 2, "not valid TOML"},
                   {"duplicate key", "a = 1\n\na = 2\n", 3, "not valid TOML"},
                   {"duplicate section", "[a]\nb=1\n[a]\nc=1\n", 3, "not valid TOML"},
                   {"date", "a = 1\nb = 2020-01-01\n", 2, "dates"},
                   {"list of text", "a = ['x']\n", 1, "integers only"},
                   {"list of lists", "a = [[1]]\n", 1, "integers only"},
                   {"mixed list", "a = [1, 2.5]\n", 1, "integers only"},
                   {"tables in a list", "\n[[a]]\nb = 1\n", 2, "integers only"},
                   {"dot in quotes", "[a]\n\"b.c\" = 1\n", 2, "without dots"},
                   {"empty key", "\"\" = 1\n", 1, "without dots"},
                   {"many dots", many_dots, 2, "more dots"},
                   {"deep", deep + "b]\nc=1\n", 1, "too deeply"},
                   {"integer too large", "a = 9223372036854775808\n", 1, "not valid TOML"},
                   {"not UTF-8", "a = '\xff'\n", 1, "not valid TOML"}},
                  "r.toml", parse_toml);
  EXPECT_THROW(static_cast<void>(parse_toml(many_tables, "r.toml")), ConfigError);
}

TEST(ConfigFile, RejectsBadJson) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  expect_rejected({{"empty", "", 1, "not valid JSON"},
                   {"no object", "\n\n3", 1, "must be an object"},
                   {"list", "[1]", 1, "must be an object"},
                   {"syntax", "{\"a\": 1,\n\"b\" 2}", 2, "not valid JSON"},
                   {"trailing", "{\"a\": 1}\n\nx", 3, "not valid JSON"},
                   {"cut", "{\"a\": 1,\n", 2, "not valid JSON"},
                   {"duplicate key", "{\"a\": 1,\n\n\"a\": 2}", 3, "twice"},
                   {"duplicate section", "{\"a\": {\"b\": 1},\n\"a\": {\"c\": 1}}", 2, "twice"},
                   {"null", "{\n\"a\": null}", 2, "null"},
                   {"list of text", "{\"a\": [\"x\"]}", 1, "integers only"},
                   {"list of reals", "{\"a\": [1.5]}", 1, "integers only"},
                   {"list of lists", "{\"a\": [[1]]}", 1, "integers only"},
                   {"list of objects", "{\"a\": [{\"b\": 1}]}", 1, "integers only"},
                   {"dot in key", "{\"a.b\": 1}", 1, "without dots"},
                   {"empty key", "{\"\": 1}", 1, "without dots"},
                   {"deep", deep, 1, "too deeply"},
                   {"integer too large", "{\"a\": 9223372036854775808}", 1, "too large"},
                   {"real too large", "{\"a\": 1e999}", 1, "not valid JSON"},
                   {"not UTF-8", "{\"a\": \"\xff\"}", 1, "not valid JSON"}},
                  "c.json", parse_json);
}

TEST(ConfigFile, OptionErrorsNameFileAndLine) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "r.toml";
  write_file_atomically(path, "seed = 1\n[train]\nlrr = 1\n");
  Options options(example_schema());
  const std::string unknown =
      message_of<ConfigError>([&] { apply(load_config(path), path.string(), options); });
  EXPECT_NE(unknown.find("r.toml:3: train.lrr"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("did you mean train.lr?"), std::string::npos) << unknown;
  write_file_atomically(path, "seed = 1\n[train]\n\nlr = 'fast'\n");
  const std::string wrong_type =
      message_of<ConfigError>([&] { apply(load_config(path), path.string(), options); });
  EXPECT_NE(wrong_type.find("r.toml:4: train.lr: must be a number"), std::string::npos)
      << wrong_type;
}

TEST(ConfigFile, FileNameDecidesTheFormat) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "c.json", "{\"seed\": 5}");
  write_file_atomically(folder / "c.toml", "seed = 5");
  for (const char* name : {"c.json", "c.toml"}) {
    const auto settings = load_config(folder / name);
    ASSERT_EQ(settings.size(), 1u);
    EXPECT_EQ(settings[0].value, Value(int64_t{5}));
  }
  write_file_atomically(folder / "large.toml", std::string((1 << 20) + 1, '\n'));
  EXPECT_THROW(static_cast<void>(load_config(folder / "large.toml")), IoError);
}

TEST(ConfigFile, JsonRefusesWhatItCannotSay) {
  Options options(example_schema());
  options.set("train.lr", std::numeric_limits<double>::infinity(), "test");
  EXPECT_NE(message_of<ConfigError>([&] { static_cast<void>(to_json(options)); }).find("train.lr"),
            std::string::npos);
  EXPECT_NO_THROW(static_cast<void>(parse_toml(to_toml(options), "t")));
  options.set("model.pattern", std::string("\xff"), "test");
  EXPECT_THROW(static_cast<void>(to_toml(options)), ConfigError);
}

}  // namespace
}  // namespace longwave::io
