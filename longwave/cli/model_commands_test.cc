// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "longwave/base/philox.h"
#include "longwave/cli/testing/run_command.h"
#include "longwave/runtime/session.h"

namespace longwave::cli::testing {
namespace {

using models::Interface;

const models::testing::ModelCase kPerStep = {
    "PerStep", {}, {Interface::Input::kReal, 2, Interface::Output::kStep, 3}};
const models::testing::ModelCase kPerSequence = {
    "PerSequence", {}, {Interface::Input::kReal, 2, Interface::Output::kSequence, 4}};

std::vector<float> random_samples(int64_t steps) {
  Random random(8);
  std::vector<float> samples(static_cast<size_t>(2 * steps));
  for (float& sample : samples) sample = static_cast<float>(random.normal());
  return samples;
}

std::string as_text(std::span<const float> samples) {
  std::ostringstream text;
  text.precision(9);
  for (size_t i = 0; i < samples.size(); i += 2) {
    text << samples[i] << ", " << samples[i + 1] << '\n';
  }
  return text.str();
}

std::string as_bytes(std::span<const float> samples) {
  return {reinterpret_cast<const char*>(samples.data()), samples.size_bytes()};
}

std::vector<float> numbers_in(const std::string& text) {
  std::istringstream stream(text);
  std::vector<float> numbers;
  for (float number = 0; stream >> number;) numbers.push_back(number);
  return numbers;
}

TEST(Stream, EqualsPrefill) {
  const ScratchFolder scratch("stream_prefill");
  const std::vector<float> samples = random_samples(25);
  for (const auto& model_case : {kPerStep, kPerSequence}) {
    const std::string folder = scratch.save_model("model", model_case);
    runtime::Session session(runtime::Model::load(folder));
    const std::span<const float> expected = session.prefill(samples);
    const bool last = model_case.interface.output == Interface::Output::kSequence;
    const Outcome outcome =
        longwave({"stream", folder, last ? "--last" : "--no-last"}, as_text(samples));
    ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
    const std::vector<float> got = numbers_in(outcome.out);
    ASSERT_EQ(got.size(), expected.size());
    // Steps and prefill differ by the rounding of sums of d_model and state numbers.
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-4) << i;
  }
}

TEST(Stream, RawNumbersGiveTheSameBitsAsText) {
  const ScratchFolder scratch("stream_raw");
  const std::string folder = scratch.save_model("model", kPerStep);
  const std::vector<float> samples = random_samples(17);
  const std::vector<float> text = numbers_in(longwave({"stream", folder}, as_text(samples)).out);
  const Outcome raw = longwave({"stream", folder, "--format", "f32"}, as_bytes(samples));
  EXPECT_EQ(raw.out, as_bytes(text));
  const Outcome json = longwave({"stream", folder, "--json"}, as_text(samples));
  std::istringstream lines(json.out);
  size_t at = 0;
  for (std::string line; std::getline(lines, line);) {
    for (const auto& number : nlohmann::json::parse(line)) {
      EXPECT_EQ(number.get<float>(), text[at++]);
    }
  }
  EXPECT_EQ(at, text.size());
}

TEST(Stream, TwoHalvesWithAStateFileEqualTheWhole) {
  const ScratchFolder scratch("stream_state");
  const std::vector<float> samples = random_samples(21);
  const std::string state = scratch / "half.state";
  for (const auto& model_case : {kPerStep, kPerSequence}) {
    const std::string folder = scratch.save_model("model", model_case);
    const std::string whole = longwave({"stream", folder}, as_text(samples)).out;
    const std::span<const float> all(samples);
    const Outcome first =
        longwave({"stream", folder, "--state-out", state}, as_text(all.first(2 * 8)));
    const Outcome second =
        longwave({"stream", folder, "--state-in", state}, as_text(all.subspan(2 * 8)));
    EXPECT_EQ(first.out + second.out, whole);
    EXPECT_NE(second.err.find("position 21"), std::string::npos) << second.err;
  }
}

TEST(Stream, AStateOfAnotherModelIsRefused) {
  const ScratchFolder scratch("stream_foreign");
  const std::string one = scratch.save_model("one", kPerStep);
  const std::string other = scratch.save_model("other", kPerSequence);
  const std::string state = scratch / "state";
  ASSERT_EQ(longwave({"stream", one, "--state-out", state}, "1 2\n").code, ExitCode::kOk);
  EXPECT_EQ(longwave({"stream", other, "--state-in", state}, "1 2\n").code, ExitCode::kBadInput);
  EXPECT_NE(longwave({"stream", one, "--state-in", scratch / "none"}).code, ExitCode::kOk);
}

TEST(Stream, BadInputNamesTheLineAndKeepsWhatWasAnswered) {
  const ScratchFolder scratch("stream_bad");
  const std::string folder = scratch.save_model("model", kPerStep);
  struct Case {
    std::string input, place, message;
  };
  const Case cases[] = {
      {"1 2\n\n# said\n3 x4\n", "line 4", "\"x4\""},
      {"1 2\n3\n", "line 2", "1 numbers"},
      {"1 2\n3 4 5 6\n", "line 2", "one step a line"},
      {"1 2\n3 nan\n", "line 2", "not finite"},
      {"1 2\ninf 3\n", "line 2", "not finite"},
      {"1 2\n1e99 3\n", "line 2", "out of the range"},
      {"1 2\n3 4e\n", "line 2", "no number"},
      {std::string("1 2\n3 \0\n", 8), "line 2", "no number"},
      {"1 2\n" + std::string((1 << 20) + 5, '7'), "line 2", "longer than 1 MiB"},
  };
  const std::string answered = longwave({"stream", folder}, "1 2\n").out;
  for (const Case& one : cases) {
    const Outcome outcome = longwave({"stream", folder}, one.input);
    EXPECT_EQ(outcome.code, ExitCode::kBadInput);
    EXPECT_EQ(outcome.out, answered);
    EXPECT_NE(outcome.err.find(one.place), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(one.message), std::string::npos) << outcome.err;
  }
  const Outcome cut = longwave({"stream", folder, "--format", "f32"}, std::string(13, '\0'));
  EXPECT_EQ(cut.code, ExitCode::kBadInput);
  EXPECT_NE(cut.err.find("5 of 8 bytes"), std::string::npos) << cut.err;
}

TEST(Stream, AcceptsWhatPeopleWrite) {
  const ScratchFolder scratch("stream_lenient");
  const std::string folder = scratch.save_model("model", kPerStep);
  const std::string expected = longwave({"stream", folder}, "0.5 -2\n1 3\n").out;
  EXPECT_EQ(longwave({"stream", folder}, "# header\r\n+0.5;-2\r\n\r\n  1e0\t3").out, expected);
  EXPECT_EQ(longwave({"stream", folder}, "").out, "");
  EXPECT_EQ(longwave({"stream", folder, "--last"}, "").out, "");
}

TEST(Stream, TokensAreCheckedAgainstTheVocabulary) {
  const ScratchFolder scratch("stream_tokens");
  const std::string folder = scratch.save_model(
      "model", {"Tokens", {}, {Interface::Input::kTokens, 5, Interface::Output::kStep, 5}});
  EXPECT_EQ(numbers_in(longwave({"stream", folder}, "0\n4\n").out).size(), 10u);
  for (const char* bad : {"5\n", "-1\n", "1.5\n", "1e30\n"}) {
    EXPECT_EQ(longwave({"stream", folder}, bad).code, ExitCode::kBadInput) << bad;
  }
}

TEST(Stream, AModelThatLooksAheadIsRefused) {
  const ScratchFolder scratch("stream_ahead");
  const std::string folder =
      scratch.save_model("model", {"Ahead", {"s4d.bidirectional=true"}, kPerStep.interface});
  const Outcome outcome = longwave({"stream", folder}, "1 2\n");
  EXPECT_EQ(outcome.code, ExitCode::kBadInput);
  EXPECT_NE(outcome.err.find("cannot stream"), std::string::npos) << outcome.err;
}

TEST(Verify, ReportsATableOrJsonAndTheExitCodeTells) {
  const ScratchFolder scratch("verify");
  const std::string folder = scratch.save_model("model", kPerStep);
  const std::vector<std::string> command = {"verify",   folder, "--training", "no",
                                            "--length", "37",   "--splits",   "2"};
  const Outcome table = longwave(command);
  EXPECT_EQ(table.code, ExitCode::kOk) << table.out << table.err;
  EXPECT_NE(table.out.find("convolution"), std::string::npos);
  std::vector<std::string> with_json = command;
  with_json.emplace_back("--json");
  const auto report = nlohmann::json::parse(longwave(with_json).out);
  EXPECT_TRUE(report["ok"].get<bool>());
  EXPECT_EQ(report["checks"].size(), 2u * 4 + 2);
}

TEST(Inspect, GivesTextJsonAndAPage) {
  const ScratchFolder scratch("inspect");
  const std::string folder = scratch.save_model("model", kPerStep), page = scratch / "page.html";
  EXPECT_NE(longwave({"inspect", folder}).out.find("time constants"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(longwave({"inspect", folder, "--json"}).out));
  EXPECT_EQ(longwave({"inspect", folder, "--html", page, "--check"}).code, ExitCode::kOk);
  EXPECT_GT(std::filesystem::file_size(page), 10000u);
  EXPECT_EQ(longwave({"inspect", folder, "--html", scratch / "no/such/page.html"}).code,
            ExitCode::kFailed);
  EXPECT_NE(longwave({"inspect", scratch / "none"}).code, ExitCode::kOk);
}

TEST(Bench, PrintsEveryFormOfTable) {
  const ScratchFolder scratch("bench");
  const std::string folder = scratch.save_model("model", kPerStep);
  const auto bench = [&](const std::string& form) {
    return longwave({"bench", folder, "--lengths", "3,17", "--repeats", "2", "--output", form});
  };
  EXPECT_EQ(nlohmann::json::parse(bench("json").out)["rows"].size(), 2u);
  EXPECT_TRUE(bench("md").out.starts_with("| length |"));
  EXPECT_TRUE(bench("csv").out.starts_with("length,"));
  EXPECT_EQ(bench("text").code, ExitCode::kOk);
  EXPECT_EQ(longwave({"bench", folder, "--lengths", "0"}).code, ExitCode::kUsage);
  const Outcome batch = longwave(
      {"bench", folder, "--batch", "1,3", "--steps", "4", "--repeats", "2", "--output", "json"});
  const auto rows = nlohmann::json::parse(batch.out)["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1]["batch"], 3);
  EXPECT_GT(rows[1]["steps_per_second"], 0);
  EXPECT_EQ(longwave({"bench", folder, "--batch", "0"}).code, ExitCode::kUsage);
  const Outcome stream = longwave({"bench", folder, "--tokens", "40", "--output", "json"});
  const auto moments = nlohmann::json::parse(stream.out)["rows"];
  ASSERT_EQ(moments.size(), 4u);
  EXPECT_EQ(moments[0]["steps"], 1);
  EXPECT_EQ(moments[3]["steps"], 40);
  EXPECT_GT(moments[3]["resident_bytes"], 0);
}

}  // namespace
}  // namespace longwave::cli::testing
