// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "longwave/cli/testing/run_command.h"
#include "longwave/data/dataset.h"

namespace longwave::cli::testing {
namespace {

TEST(Data, ListsEverySource) {
  const std::string text = longwave({"data"}).out;
  const auto list = nlohmann::json::parse(longwave({"data", "--json"}).out);
  ASSERT_EQ(list.size(), data::sources().size());
  for (const data::Source& source : data::sources()) {
    EXPECT_NE(text.find(std::string(source.name) + " "), std::string::npos) << source.name;
  }
}

TEST(Data, DescribesASourceWithItsOptions) {
  const auto report =
      nlohmann::json::parse(longwave({"data", "delay", "lag=7", "length=50", "--json"}).out);
  EXPECT_EQ(report["options"]["lag"]["value"], 7);
  EXPECT_EQ(report["length"], 50);
  EXPECT_EQ(longwave({"data", "delay", "delay.lag=7", "length=50"}).code, ExitCode::kOk);
}

TEST(Data, PrintedExampleIsWhatStreamReads) {
  const std::vector<std::string> command = {"data", "delay",     "length=40", "lag=3",  "--split",
                                            "test", "--example", "2",         "--seed", "5"};
  Options options(data::source("delay").schema());
  options.assign("length=40", "test");
  options.assign("lag=3", "test");
  const auto dataset = data::source("delay").open(options, data::Split::kTest, 5);
  const std::vector<float> expected = dataset->example(2).input;
  std::istringstream lines(longwave(command).out);
  std::vector<float> got;
  for (float number = 0; lines >> number;) got.push_back(number);
  EXPECT_EQ(got, expected);

  const ScratchFolder scratch("data_stream");
  const std::string folder = scratch.save_model(
      "model",
      {"One", {}, {models::Interface::Input::kReal, 1, models::Interface::Output::kStep, 1}});
  const Outcome outcome = longwave({"stream", folder}, longwave(command).out);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 40);
}

TEST(Data, ExportsEverySplit) {
  const ScratchFolder scratch("data_export");
  for (const std::string form : {"csv", "jsonl"}) {
    const std::string folder = scratch / form;
    ASSERT_EQ(longwave({"data", "delay", "length=40", "lag=3", "--export", folder, "--format", form,
                        "--count", "3"})
                  .code,
              ExitCode::kOk);
    for (const char* split : {"train", "validation", "test"}) {
      EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(folder) / (split + ("." + form))));
    }
  }
}

TEST(Data, RefusesWhatDoesNotExist) {
  EXPECT_NE(longwave({"data", "dely"}).err.find("did you mean delay?"), std::string::npos);
  EXPECT_EQ(longwave({"data", "dely"}).code, ExitCode::kBadInput);
  EXPECT_NE(longwave({"data", "delay", "lagg=3"}).err.find("lag"), std::string::npos);
  EXPECT_EQ(longwave({"data", "delay", "length=40", "lag=3", "--example", "999999"}).code,
            ExitCode::kBadInput);
}

TEST(Doctor, FindsThisMachineFitToRun) {
  const Outcome outcome = longwave({"doctor", "--json"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.out;
  const auto findings = nlohmann::json::parse(outcome.out);
  EXPECT_GE(findings.size(), 9 + data::sources().size());
  for (const auto& finding : findings) {
    const bool says_what_to_do = finding["verdict"] == "ok" || !finding["fix"].empty();
    EXPECT_TRUE(says_what_to_do) << finding;
  }
  EXPECT_NE(longwave({"doctor"}).out.find("SIMD"), std::string::npos);
}

}  // namespace
}  // namespace longwave::cli::testing
