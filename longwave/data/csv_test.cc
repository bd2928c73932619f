// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/csv_table.h"
#include "longwave/data/dataset.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::data {
namespace {

using testing::message_of;
using testing::TemporaryFolder;

CsvTable parse(const std::string& text, const CsvFormat& format = {}) {
  return parse_csv(std::as_bytes(std::span(text)), "t.csv", format);
}

TEST(Csv, ReadsNumbersInEveryCommonSpelling) {
  const CsvTable table = parse("a, b ,c\r\n1,-2.5,1e3\r\n\r\n\"4\", +5 ,6");
  EXPECT_EQ(table.names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(table.rows, 2);
  EXPECT_EQ(table.values, (std::vector<float>{1, -2.5, 1000, 4, 5, 6}));
  EXPECT_EQ(parse("\xef\xbb\xbf"
                  "a\n1\n")
                .names,
            std::vector<std::string>{"a"});
  EXPECT_EQ(parse("a;b\n1;2\n", {.delimiter = ';'}).values, (std::vector<float>{1, 2}));
}

TEST(Csv, ReadsQuotedNamesAndLeavesOtherColumnsAlone) {
  const std::string text = "\"when, \"\"utc\"\"\",t\n\"2020-01-01\n00:00\",1\nnever,2\n";
  const CsvTable table = parse(text, {.columns = {"t"}});
  EXPECT_EQ(table.values, (std::vector<float>{1, 2}));
  EXPECT_EQ(parse("a,b\n1,2\n", {.columns = {"b", "a"}}).values, (std::vector<float>{2, 1}));
  const std::string message = message_of<DataError>([&] { static_cast<void>(parse(text)); });
  EXPECT_NE(message.find("when, \"utc\""), std::string::npos) << message;
}

TEST(Csv, HeaderlessColumnsAreNumbered) {
  const CsvTable table =
      parse("1,2\n3,4\n", {.header = CsvFormat::Header::kNone, .columns = {"1"}});
  EXPECT_EQ(table.names, std::vector<std::string>{"1"});
  EXPECT_EQ(table.values, (std::vector<float>{2, 4}));
}

TEST(Csv, MissingValuesRepeatTheOneAboveOnRequest) {
  const CsvFormat previous = {.missing = CsvFormat::Missing::kPrevious};
  for (const std::string missing : {"", "NA", "nan", "NaN", "?", "null", "N/A", " "}) {
    const std::string text = "a,b\n1,2\n" + missing + ",3\n" + missing + ",4\n";
    EXPECT_EQ(parse(text, previous).values, (std::vector<float>{1, 2, 1, 3, 1, 4}));
    const std::string message = message_of<DataError>([&] { static_cast<void>(parse(text)); });
    EXPECT_NE(message.find("t.csv:3: column \"a\" has no value"), std::string::npos) << message;
    EXPECT_NE(message.find("csv.missing"), std::string::npos) << message;
  }
  EXPECT_THROW(static_cast<void>(parse("a,b\n,2\n", previous)), DataError);
}

TEST(Csv, RejectsBadTablesWithTheirLine) {
  struct Bad {
    std::string text;
    const char* says;
  };
  const std::vector<Bad> table = {{"", "no rows"},
                                  {"a,b\n", "no rows"},
                                  {"\n\n", "no rows"},
                                  {"a,b\n1,2\n3\n", "t.csv:3: every row must have 2 cells"},
                                  {"a,b\n1,2,\n", "t.csv:2: every row must have 2 cells"},
                                  {"a,b\n\n\n1,x\n", "t.csv:4: column \"b\" must hold numbers"},
                                  {"a\n1\ninf\n", "t.csv:3: column \"a\" holds a number"},
                                  {"a\n-Infinity\n", "not finite"},
                                  {"a\n1e39\n", "not finite"},
                                  {"a\n1e999\n", "must hold numbers"},
                                  {"a\n0x10\n", "must hold numbers"},
                                  {"a\n1 2\n", "must hold numbers"},
                                  {"a,a\n1,2\n", "one name"},
                                  {"a\n\"1\n", "not closed"},
                                  {"a\n\"1\"2\n", "after a closing quote"},
                                  {"\"x\ny\"\n1\n2\nz\n", "t.csv:5: column"}};
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.text);
    const std::string message = message_of<DataError>([&] { static_cast<void>(parse(bad.text)); });
    EXPECT_NE(message.find(bad.says), std::string::npos) << message;
  }
  const std::string message = message_of<ConfigError>(
      [] { static_cast<void>(parse("speed,b\n1,2\n", {.columns = {"sped"}})); });
  EXPECT_NE(message.find("did you mean speed?"), std::string::npos) << message;
}

/// 100 rows of t, 10 t and a constant.
class Series {
 public:
  Series() {
    std::string text = "t,ten,one\n";
    for (int t = 0; t < 100; ++t) {
      text += std::to_string(t) + "," + std::to_string(10 * t) + ",7\n";
    }
    io::write_file_atomically(path(), text);
  }
  std::filesystem::path path() const { return folder_ / "series.csv"; }

  std::unique_ptr<Dataset> open(const std::vector<std::string>& settings,
                                Split split = Split::kTrain) const {
    Options options(source("csv").schema());
    options.set("path", path().string(), "test");
    options.set("context", int64_t{5}, "test");
    options.set("horizon", int64_t{3}, "test");
    for (const std::string& setting : settings) options.assign(setting, "test");
    return source("csv").open(options, split, 1);
  }

 private:
  TemporaryFolder folder_;
};

TEST(Csv, WindowsHoldContextThenHorizon) {
  const Series series;
  const auto dataset = series.open({"target=ten"});
  EXPECT_EQ(dataset->info().input_size, 3);
  EXPECT_EQ(dataset->info().target_size, 3);
  EXPECT_EQ(dataset->info().length, 5);
  ASSERT_EQ(dataset->size(), 70 - 5 - 3 + 1);
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const Example example = dataset->example(i);
    ASSERT_EQ(example.input.size(), 15u);
    for (int64_t t = 0; t < 5; ++t) {
      EXPECT_EQ(example.input[3 * t], static_cast<float>(i + t));
      EXPECT_EQ(example.input[3 * t + 1], static_cast<float>(10 * (i + t)));
      EXPECT_EQ(example.input[3 * t + 2], 7.0f);
    }
    const auto next = static_cast<float>(10 * (i + 5));
    EXPECT_EQ(example.value, (std::vector<float>{next, next + 10, next + 20}));
  }
}

TEST(Csv, SplitsAskForDisjointRowsInOrder) {
  const Series series;
  const auto asked = [&](Split split) {
    const auto dataset = series.open({"columns=t"}, split);
    return std::pair(dataset->example(0).value.front(),
                     dataset->example(dataset->size() - 1).value.back());
  };
  EXPECT_EQ(asked(Split::kTrain), std::pair(5.0f, 69.0f));
  EXPECT_EQ(asked(Split::kValidation), std::pair(70.0f, 79.0f));
  EXPECT_EQ(asked(Split::kTest), std::pair(80.0f, 99.0f));
  // Their context may reach back: the model would have seen it.
  EXPECT_EQ(series.open({"columns=t"}, Split::kValidation)->example(0).input.front(), 65.0f);
  EXPECT_EQ(series.open({"stride=4"})->size(), 16);
  EXPECT_EQ(series.open({"validation=0"}, Split::kValidation)->size(), 0);
  EXPECT_EQ(series.open({"train=0.8", "validation=0.2"}, Split::kTest)->size(), 0);
}

TEST(Csv, StandardisationIsThatOfTheTrainingRows) {
  const Series series;
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const TaskInfo info = series.open({"target=ten, one"}, split)->info();
    const auto deviation = static_cast<float>(std::sqrt((70.0 * 70.0 - 1) / 12));
    ASSERT_EQ(info.input_shift.size(), 3u);
    EXPECT_FLOAT_EQ(info.input_shift[0], 34.5f);
    EXPECT_FLOAT_EQ(info.input_scale[0], deviation);
    EXPECT_FLOAT_EQ(info.input_scale[1], 10 * deviation);
    EXPECT_FLOAT_EQ(info.input_scale[2], 1.0f);
    ASSERT_EQ(info.target_shift.size(), 6u);
    EXPECT_FLOAT_EQ(info.target_shift[2], 345.0f);
    EXPECT_FLOAT_EQ(info.target_shift[3], 7.0f);
    EXPECT_FLOAT_EQ(info.target_scale[4], 10 * deviation);
  }
}

TEST(Csv, RejectsSettingsThatLeaveNothing) {
  const Series series;
  EXPECT_THROW(series.open({"context=68"}), DataError);
  EXPECT_THROW(series.open({"horizon=11"}, Split::kValidation), DataError);
  EXPECT_THROW(series.open({"train=0"}), ConfigError);
  EXPECT_THROW(series.open({"validation=0.4"}), ConfigError);
  EXPECT_THROW(series.open({"target=none"}), ConfigError);
  EXPECT_THROW(series.open({"path="}), ConfigError);
  EXPECT_THROW(series.open({"path=/nowhere.csv"}), IoError);
}

}  // namespace
}  // namespace longwave::data
