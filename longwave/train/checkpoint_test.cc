// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <limits>
#include <thread>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using longwave::testing::TemporaryFolder;
using Steps = std::vector<int64_t>;
using Rank = CheckpointStore::Rank;

/// A checkpoint of two files, whose content says which step it belongs to.
CheckpointStore::Fill filled(int64_t step, size_t size = 1000) {
  return [step, size](const fs::path& folder) -> Record {
    const std::string content(size, static_cast<char>('a' + step % 26));
    io::write_file_atomically(folder / "model.safetensors", content);
    io::write_file_atomically(folder / "train_state.safetensors", content + content);
    return {{"step", step}, {"loss", std::numeric_limits<double>::quiet_NaN()}};
  };
}

void ignore(const fs::path&, const std::string&) {}

TEST(CheckpointStore, KeepsTheLastTheBestAndEveryMth) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 2, .every = 500});
  for (int64_t step = 100; step <= 1200; step += 100) {
    store.write(step, step == 300 ? Rank::kBest : Rank::kOrdinary, 4096, filled(step));
  }
  EXPECT_EQ(store.steps(), (Steps{300, 500, 1000, 1100, 1200}));
  EXPECT_EQ(store.best(), 300);
  EXPECT_EQ(fs::read_symlink(folder.path() / "latest"), "step_00001200");
}

TEST(CheckpointStore, KeepsAsManyOfTheBestAsAsked) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 1, .best = 3});
  const std::vector<double> costs = {5, 2, 4, -1, 9, 3, 8, 7};
  std::vector<bool> among;
  for (size_t i = 0; i < costs.size(); ++i) {
    const auto step = static_cast<int64_t>(i);
    among.push_back(store.among_best(costs[i]));
    store.write(step, Rank::kOrdinary, 4096, [&](const fs::path& path) {
      Record record = filled(step)(path);
      record.emplace_back("cost", costs[i]);
      return record;
    });
  }
  EXPECT_EQ(store.steps(), (Steps{1, 3, 5, 7}));
  EXPECT_EQ(among, (std::vector<bool>{true, true, true, true, false, true, false, false}));
  EXPECT_FALSE(store.among_best(std::numeric_limits<double>::quiet_NaN()));
}

TEST(CheckpointStore, OrdersByNumberNotByText) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 3});
  for (const int64_t step : {int64_t{99999999}, int64_t{100000000}, int64_t{250000000}}) {
    store.write(step, Rank::kOrdinary, 4096, filled(step));
  }
  EXPECT_EQ(store.newest_whole(ignore), 250000000);
}

TEST(CheckpointStore, DamagedCheckpointIsPassedOver) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 3});
  for (int64_t step = 1; step <= 3; ++step) store.write(step, Rank::kOrdinary, 4096, filled(step));
  fs::resize_file(store.path(3) / "train_state.safetensors", 500);
  std::ofstream(store.path(2) / "model.safetensors", std::ios::in) << "X";
  std::vector<std::string> heard;
  EXPECT_EQ(
      store.newest_whole([&](const fs::path&, const std::string& what) { heard.push_back(what); }),
      1);
  EXPECT_EQ(heard.size(), 2U);
}

TEST(CheckpointStore, LaterStepsGoOnceTheRunWentBackBehindThem) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 1});
  store.write(20, Rank::kBest, 4096, filled(20));
  fs::resize_file(store.path(20) / "model.safetensors", 5);
  store.write(10, Rank::kOrdinary, 4096, filled(10));
  EXPECT_EQ(store.steps(), Steps{10});
  EXPECT_EQ(store.best(), std::nullopt);
  EXPECT_FALSE(fs::is_symlink(folder.path() / "best"));
}

TEST(CheckpointStore, FailureWhileWritingLeavesTheEarlierOnes) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 1});
  store.write(1, Rank::kOrdinary, 4096, filled(1));
  const auto failing = [](const fs::path& path) -> Record {
    io::write_file_atomically(path / "model.safetensors", "half");
    throw IoError({.where = "test", .what = "the disk is gone", .got = {}, .fix = {}});
  };
  EXPECT_THROW(store.write(2, Rank::kOrdinary, 4096, failing), IoError);
  EXPECT_EQ(store.steps(), Steps{1});
  EXPECT_EQ(store.newest_whole(ignore), 1);
}

TEST(CheckpointStore, FullDiskIsAnErrorAndNothingIsLost) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {.last = 1});
  store.write(1, Rank::kOrdinary, 4096, filled(1));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 65536;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(store.write(2, Rank::kOrdinary, 4096, filled(2, size_t{1} << 20)), IoError);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(store.steps(), Steps{1});
  EXPECT_EQ(store.newest_whole(ignore), 1);
}

TEST(CheckpointStore, RoomIsAskedForBefore) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {});
  constexpr int64_t kMoreThanAnyDisk = int64_t{1} << 60;
  EXPECT_THROW(store.write(1, Rank::kOrdinary, kMoreThanAnyDisk, filled(1)), IoError);
  EXPECT_TRUE(store.steps().empty());
}

TEST(CheckpointStore, MetaIsReadBackAsItWasWritten) {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {});
  const double third = 1.0 / 3;
  const auto fill = [&](const fs::path&) -> Record {
    return {{"step", int64_t{7}},
            {"ema", third},
            {"whole", 2.0},
            {"best", std::numeric_limits<double>::quiet_NaN()}};
  };
  const Record meta = read_meta(store.write(7, Rank::kOrdinary, 4096, fill));
  EXPECT_EQ(integer_of(meta, "step"), 7);
  EXPECT_EQ(real_of(meta, "ema"), third);
  EXPECT_EQ(real_of(meta, "whole"), 2.0);
  EXPECT_TRUE(std::isnan(real_of(meta, "best")));
  EXPECT_THROW(static_cast<void>(integer_of(meta, "nothing")), DataError);
}

/// Writes checkpoints until it is killed.
[[noreturn]] void write_for_ever(const fs::path& folder) {
  CheckpointStore store(folder, {.last = 2});
  const std::vector<int64_t> found = store.steps();
  for (int64_t step = found.empty() ? 1 : found.back() + 1;; ++step) {
    const Rank rank = step % 3 == 0 ? Rank::kBest : Rank::kOrdinary;
    store.write(step, rank, 4096, filled(step, 20000));
  }
}

TEST(CheckpointStore, KillAtAnyMomentLeavesAWholeCheckpoint) {
  constexpr int kKills = 12;
  const TemporaryFolder folder;
  int64_t newest = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_for_ever(folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(40 + 13 * kill));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    const CheckpointStore store(folder.path(), {.last = 2});
    for (const int64_t step : store.steps()) {
      EXPECT_EQ(damage(store.path(step)), "") << "kill " << kill << " step " << step;
    }
    newest = std::max(newest, store.newest_whole(ignore).value_or(0));
    for (const fs::directory_entry& entry : fs::directory_iterator(folder.path())) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
      EXPECT_TRUE(fs::exists(entry.path())) << entry.path() << " points nowhere";
    }
  }
  EXPECT_GT(newest, 0) << "no checkpoint was ever finished";
}

}  // namespace
}  // namespace longwave::train
