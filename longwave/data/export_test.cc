// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/export.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/data/csv_table.h"
#include "longwave/io/file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::data {
namespace {

using testing::TemporaryFolder;
using Json = nlohmann::json;

Options small_options(std::string_view name) {
  Options options(source(name).schema());
  options.assign("examples=7", "test");
  options.assign("held_out=3", "test");
  if (options.has("length")) options.assign("length=40", "test");
  if (name == "delay") options.assign("lag=5", "test");
  if (name == "reconstruct") options.assign("memory=5", "test");
  if (options.has("frequency")) options.assign("frequency=500", "test");
  if (options.has("lag") && name != "delay") options.assign("lag=9", "test");
  return options;
}

const std::vector<std::string> kNames = {"delay",   "reconstruct",       "adding", "mackey_glass",
                                         "copying", "selective_copying", "parity"};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::istringstream stream(io::read_text(path, 1 << 24));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The numbers of a list or of a list of lists, with `absent` for null.
template <typename T>
std::vector<T> flat(const Json& json, T absent) {
  if (json.is_null()) return {absent};
  if (!json.is_array()) return {json.get<T>()};
  std::vector<T> numbers;
  for (const Json& item : json) {
    for (T number : flat(item, absent)) numbers.push_back(number);
  }
  return numbers;
}

TEST(Export, JsonLinesReadBackToTheSameBits) {
  for (const std::string& name : kNames) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const Options options = small_options(name);
    const auto exported = export_source(source(name), options, folder / "new/folder", {.seed = 5});
    ASSERT_EQ(exported.size(), 3u);
    const auto dataset = source(name).open(options, Split::kTrain, 5);
    const auto lines = lines_of(exported[0].file);
    ASSERT_EQ(lines.size(), 7u);
    for (int64_t i = 0; i < 7; ++i) {
      const Json json = Json::parse(lines[i]);
      const Example example = dataset->example(i);
      EXPECT_EQ(flat<float>(json.value("input", Json::array()), NAN), example.input);
      EXPECT_EQ(flat<float>(json.value("value", Json::array()), NAN), example.value);
      EXPECT_EQ(flat<int64_t>(json.value("tokens", Json::array()), -1), example.tokens);
      EXPECT_EQ(flat<int64_t>(json.value("label", Json::array()), -1), example.label);
    }
    const Json info = Json::parse(io::read_text(folder / "new/folder/info.json", 1 << 20));
    EXPECT_EQ(info["source"], name);
    EXPECT_EQ(info["options"]["examples"], 7);
    EXPECT_EQ(info["splits"]["test"]["examples"], 3);
    EXPECT_EQ(info["task"]["input_size"], dataset->info().input_size);
  }
}

TEST(Export, CsvHasARowAStep) {
  const TemporaryFolder folder;
  const auto exported = export_source(source("adding"), small_options("adding"), folder.path(),
                                      {.format = ExportOptions::Format::kCsv, .most_examples = 2});
  const auto lines = lines_of(exported[0].file);
  ASSERT_EQ(lines.size(), 1u + 2 * 40);
  EXPECT_EQ(lines[0], "example,step,x0,x1,y0");
  EXPECT_EQ(lines[1].back(), ',') << "the answer stands in the last row of a sequence";
  EXPECT_NE(lines[40].back(), ',');
  const auto text = io::read_file(exported[0].file, 1 << 20);
  const CsvTable table = parse_csv(text, "written", {.columns = {"example", "step", "x0", "x1"}});
  const auto dataset = source("adding").open(small_options("adding"), Split::kTrain, 0);
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t t = 0; t < 40; ++t) {
      const float* row = table.values.data() + 4 * (40 * i + t);
      EXPECT_EQ(row[0], static_cast<float>(i));
      EXPECT_EQ(row[1], static_cast<float>(t));
      EXPECT_EQ(row[2], dataset->example(i).input[2 * t]);
      EXPECT_EQ(row[3], dataset->example(i).input[2 * t + 1]);
    }
  }
}

TEST(Export, CsvLeavesEmptyWhatIsNotAskedFor) {
  const TemporaryFolder folder;
  Options options = small_options("copying");
  const auto exported = export_source(source("copying"), options, folder.path(),
                                      {.format = ExportOptions::Format::kCsv, .most_examples = 1});
  const auto lines = lines_of(exported[2].file);
  ASSERT_EQ(lines.size(), 1u + 9 + 2 * 10);
  for (size_t t = 0; t < lines.size() - 1; ++t) {
    EXPECT_EQ(lines[t + 1].back() == ',', t < 19) << lines[t + 1];
  }
}

TEST(Export, UnwritableFolderIsNamed) {
  EXPECT_THROW(static_cast<void>(
                   export_source(source("adding"), small_options("adding"), "/proc/longwave", {})),
               IoError);
}

TEST(Statistics, AgreeWithTheirDefinition) {
  const auto dataset = source("adding").open(small_options("adding"), Split::kTrain, 3);
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    for (double x : dataset->example(i).input) {
      sum += x;
      squares += x * x;
      ++count;
    }
  }
  const Statistics statistics = statistics_of(*dataset);
  EXPECT_EQ(statistics.examples, 7);
  EXPECT_EQ(statistics.input.count, static_cast<int64_t>(count));
  EXPECT_NEAR(statistics.input.mean, sum / count, 1e-12);
  EXPECT_NEAR(statistics.input.deviation, std::sqrt(squares / count - std::pow(sum / count, 2)),
              1e-12);
  EXPECT_EQ(statistics.input.least, 0);
  EXPECT_EQ(statistics.input.most, 1);
  EXPECT_EQ(statistics.length.least, 40);
  EXPECT_EQ(statistics.value.count, 7);
  EXPECT_EQ(statistics_of(*dataset, 2).looked_at, 2);
}

TEST(Statistics, ThreadCountChangesNothing) {
  Options options = small_options("parity");
  options.assign("examples=700", "test");
  options.assign("shortest=1", "test");
  const auto dataset = source("parity").open(options, Split::kTrain, 3);
  const int before = thread_count();
  set_thread_count(1);
  const Statistics one = statistics_of(*dataset);
  set_thread_count(4);
  const Statistics four = statistics_of(*dataset);
  set_thread_count(before);
  EXPECT_EQ(one.labels, four.labels);
  EXPECT_EQ(one.labels[0] + one.labels[1], 700);
  EXPECT_EQ(one.length.mean, four.length.mean);
  EXPECT_EQ(one.length.deviation, four.length.deviation);
}

}  // namespace
}  // namespace longwave::data
