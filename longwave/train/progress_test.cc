// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/progress.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "longwave/train/metrics_log.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

using longwave::testing::content;
using longwave::testing::TemporaryFolder;

Progress sample() {
  return {.step = 1200,
          .steps = 20000,
          .loss = 3.4123,
          .ema = 3.4312,
          .gradient_norm = 0.824,
          .lr = 2.97e-4,
          .rate = 412000,
          .unit = "tok",
          .utilisation = 0.384,
          .memory = int64_t{21400} * 1000 * 1000,
          .eta = 4320};
}

TEST(Progress, LineHasFixedColumns) {
  EXPECT_EQ(progress_line(sample()),
            "step  1200/20000   6.0%  loss 3.412  ema 3.431  gnorm 0.824  lr 2.97e-04  412k tok/s  "
            "mfu 38%  mem 21.4G  eta 1h12m");
}

TEST(Progress, NotANumberIsShownAsItIs) {
  Progress progress = sample();
  progress.loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(progress_line(progress).find("loss nan"), std::string::npos);
}

TEST(Progress, CountsAndTimesAreShort) {
  EXPECT_EQ(short_count(7), "7");
  EXPECT_EQ(short_count(999.4), "999");
  EXPECT_EQ(short_count(999.6), "1.0k");
  EXPECT_EQ(short_count(1.25e7), "12.5M");
  EXPECT_EQ(short_time(9), "9s");
  EXPECT_EQ(short_time(248), "4m08s");
  EXPECT_EQ(short_time(59.7), "1m00s");
}

TEST(Talk, PlainScreenGetsLinesWithoutControlCharacters) {
  std::string written;
  {
    Talk talk([&](std::string_view text) { written += text; }, Talk::Screen::kPlain, 0.0, {});
    talk.say("hello");
    talk.progress(sample());
  }
  EXPECT_EQ(written, fmt::format("hello\n{}\n", progress_line(sample())));
}

TEST(Talk, TerminalLineVanishesAndTheFileKeepsPlainLines) {
  const TemporaryFolder folder;
  std::string written;
  {
    Talk talk([&](std::string_view text) { written += text; }, Talk::Screen::kTerminal, 0.0,
              folder.path() / "log.txt");
    talk.progress(sample());
    talk.say("done");
  }
  EXPECT_EQ(written, fmt::format("\r{}\x1b[K\r\x1b[Kdone\n", progress_line(sample())));
  const std::string log = content(folder.path() / "log.txt");
  EXPECT_NE(log.find(progress_line(sample())), std::string::npos);
  EXPECT_EQ(log.find('\x1b'), std::string::npos);
}

TEST(Talk, NothingIsSaidBeforeTheIntervalIsOver) {
  std::string written;
  Talk talk([&](std::string_view text) { written += text; }, Talk::Screen::kPlain, 1e6, {});
  for (int i = 0; i < 100; ++i) talk.progress(sample());
  EXPECT_EQ(written, "");
}

TEST(MetricsLog, NotANumberIsNeverReplaced) {
  const Record record{{"step", int64_t{3}},
                      {"loss", std::numeric_limits<double>::quiet_NaN()},
                      {"norm", std::numeric_limits<double>::infinity()},
                      {"split", std::string("train")}};
  EXPECT_EQ(json_line(record),
            R"({"step": 3, "loss": "NaN", "norm": "Infinity", "split": "train"})");
}

TEST(MetricsLog, NumbersKeepAllTheirDigits) {
  for (const double value : {0.1, 1.0 / 3, 1e-300, 123456789.123456789, 5e15}) {
    const std::string line = json_line({{"x", value}});
    EXPECT_EQ(std::stod(line.substr(6)), value) << line;
  }
}

TEST(MetricsLog, ResumeDropsWhatWillBeSaidAgain) {
  const TemporaryFolder folder;
  const auto record = [](int64_t step) -> Record {
    return {{"step", step}, {"loss", 0.5 * static_cast<double>(step)}};
  };
  {
    MetricsLog log(folder.path(), {"step", "loss", "accuracy"}, 0);
    for (int64_t step = 1; step <= 5; ++step) log.append(record(step));
  }
  {
    // A line that a kill cut off.
    std::ofstream(folder.path() / "metrics.jsonl", std::ios::app) << "{\"step\": 6, \"lo";
    MetricsLog log(folder.path(), {"step", "loss", "accuracy"}, 3);
    log.append(record(4));
  }
  EXPECT_EQ(content(folder.path() / "metrics.csv"),
            "step,loss,accuracy\n1,0.5,\n2,1,\n3,1.5,\n4,2,\n");
  EXPECT_EQ(content(folder.path() / "metrics.jsonl"),
            "{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\": 1}\n{\"step\": 3, \"loss\": "
            "1.5}\n{\"step\": 4, \"loss\": 2}\n");
}

TEST(MetricsLog, AFileOfOtherColumnsKeepsThem) {
  const TemporaryFolder folder;
  const Record record = {{"step", int64_t{2}}, {"loss", 0.5}, {"utilisation", 0.25}};
  std::ofstream(folder.path() / "metrics.csv") << "step,loss,seconds\n1,0.75,3\n";
  MetricsLog(folder.path(), {"step", "loss", "utilisation", "seconds"}, 1).append(record);
  EXPECT_EQ(content(folder.path() / "metrics.csv"), "step,loss,seconds\n1,0.75,3\n2,0.5,\n");
  EXPECT_NE(content(folder.path() / "metrics.jsonl").find("utilisation"), std::string::npos);
  // A heading that a kill cut off is none.
  std::ofstream(folder.path() / "metrics.csv") << "step,lo";
  MetricsLog(folder.path(), {"step", "loss"}, 1).append(record);
  EXPECT_EQ(content(folder.path() / "metrics.csv"), "step,loss\n2,0.5\n");
}

}  // namespace
}  // namespace longwave::train
