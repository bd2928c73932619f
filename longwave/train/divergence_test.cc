// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "longwave/base/error.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/run.h"
#include "longwave/train/testing/difference.h"
#include "longwave/train/testing/poison.h"
#include "longwave/train/testing/small_recipe.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using longwave::testing::content;
using longwave::testing::first_difference;
using longwave::testing::poison;
using longwave::testing::small_recipe;
using longwave::testing::TemporaryFolder;
using Update = Trainer::Step::Update;

constexpr const char* kSkip = "train.on_divergence=skip";
constexpr const char* kRollback = "train.on_divergence=rollback";

/// Steps `first` to `last` of a run in which the steps 3 and 4 have NaN; their updates.
std::vector<Update> bad_in_the_middle(Trainer& trainer, int64_t first, int64_t last) {
  std::vector<Update> updates;
  for (int64_t step = first; step < last; ++step) {
    const bool bad = step == 3 || step == 4;
    const Weights good = bad ? poison(trainer) : Weights();
    updates.push_back(trainer.step().update);
    if (bad) trainer.load(good);
  }
  return updates;
}

TEST(Skip, DroppedBatchChangesNothingButTheCount) {
  Trainer trainer(small_recipe({kSkip, "model.norm=batch"}));
  trainer.step();
  poison(trainer);
  const Weights before = trainer.model().weights();
  const double ema = trainer.counters().ema;
  const Trainer::Step step = trainer.step();
  EXPECT_EQ(step.update, Update::kDropped);
  EXPECT_TRUE(std::isnan(step.loss));
  EXPECT_FALSE(step.loss_z.has_value());
  // Running statistics, too.
  EXPECT_EQ(first_difference(trainer.model().weights(), before), "");
  EXPECT_EQ(trainer.counters().ema, ema);
  EXPECT_EQ(trainer.counters().step, 2);
  EXPECT_EQ(trainer.counters().dropped, 1);
  EXPECT_EQ(trainer.optimiser().steps(), 1);
}

TEST(Skip, TooManyInARowStop) {
  Trainer trainer(small_recipe({kSkip, "train.max_skips=2"}));
  const Weights good = poison(trainer);
  trainer.step();
  trainer.load(good);
  EXPECT_EQ(trainer.step().update, Update::kMade);
  poison(trainer);
  trainer.step();
  trainer.step();
  EXPECT_THROW(trainer.step(), Diverged);
  EXPECT_EQ(trainer.counters().step, 4);
  EXPECT_EQ(trainer.counters().dropped, 3);
}

TEST(Skip, ResumeIsBitExact) {
  const Options recipe = small_recipe({kSkip, "model.norm=batch"});
  Trainer whole(recipe);
  const std::vector<Update> expected = bad_in_the_middle(whole, 0, 10);
  EXPECT_EQ(std::ranges::count(expected, Update::kDropped), 2);
  for (const int64_t before : {2, 4, 6}) {
    const TemporaryFolder folder;
    CheckpointStore store(folder.path(), {});
    Trainer first(recipe);
    bad_in_the_middle(first, 0, before);
    store.write(before, CheckpointStore::Rank::kOrdinary, 1,
                [&](const fs::path& path) { return first.save(path); });
    Trainer second(recipe);
    second.restore(store.path(before));
    EXPECT_EQ(second.counters().dropped_in_row, before == 4 ? 1 : 0);
    bad_in_the_middle(second, before, 10);
    EXPECT_EQ(first_difference(second.model().weights(), whole.model().weights()), "") << before;
    EXPECT_EQ(second.counters().dropped, 2);
  }
}

TEST(Scores, ContinueAfterAResume) {
  constexpr int64_t kCut = 100, kSteps = 135;
  const Options recipe = small_recipe({"train.steps=200"});
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), {});
  Trainer whole(recipe);
  for (int64_t step = 0; step < kCut; ++step) EXPECT_FALSE(whole.step().loss_z.has_value());
  store.write(kCut, CheckpointStore::Rank::kOrdinary, 1,
              [&](const fs::path& path) { return whole.save(path); });
  Trainer second(recipe);
  second.restore(store.path(kCut));
  for (int64_t step = kCut; step < kSteps; ++step) {
    const Trainer::Step a = whole.step(), b = second.step();
    EXPECT_EQ(a.loss_z.has_value(), step + 1 >= 128) << step;
    EXPECT_EQ(a.loss_z, b.loss_z) << step;
    EXPECT_EQ(a.gradient_norm_z, b.gradient_norm_z) << step;
  }
}

Job job_for(const fs::path& folder, const Options& recipe) {
  return {.recipe = recipe,
          .folder = folder,
          .recipe_text = {},
          .facts = {},
          .write = [](std::string_view) {}};
}

/// A run that meets NaN once, before step number `bad` of its first data.
Job with_bad_batch(Job job, int64_t bad) {
  job.before_step = [bad](Trainer& trainer) {
    const Counters& counters = trainer.counters();
    if (counters.dropped == 0 && counters.step == bad) poison(trainer);
  };
  return job;
}

int64_t lines_of(const fs::path& metrics, const std::string& split, const std::string& field) {
  std::istringstream stream(content(metrics));
  int64_t count = 0;
  for (std::string line; std::getline(stream, line);) {
    const auto json = nlohmann::json::parse(line);
    count += json["split"] == split && json.contains(field) ? 1 : 0;
  }
  return count;
}

TEST(Rollback, GoesBackAndOnWithOtherData) {
  const TemporaryFolder folder;
  const Options recipe = small_recipe({kRollback, "train.checkpoint_every=4"});
  const Outcome outcome = run(with_bad_batch(job_for(folder.path() / "run", recipe), 6));
  EXPECT_EQ(outcome.end, Outcome::End::kFinished);
  EXPECT_EQ(outcome.step, 12);

  // The same by hand: four steps, batches 4 to 6 passed over, eight steps.
  Trainer expected(recipe);
  for (int64_t step = 0; step < 4; ++step) expected.step();
  const fs::path saved = folder.path() / "saved";
  CheckpointStore store(saved, {});
  store.write(4, CheckpointStore::Rank::kOrdinary, 1,
              [&](const fs::path& path) { return expected.save(path); });
  for (int64_t step = 4; step < 7; ++step) expected.step();
  expected.go_back(store.path(4));
  while (expected.counters().step < 12) expected.step();
  Trainer got(recipe);
  got.restore(folder.path() / "run/checkpoints/latest");
  EXPECT_EQ(first_difference(got.model().weights(), expected.model().weights()), "");
  EXPECT_EQ(got.counters().dropped, 1);

  const fs::path metrics = folder.path() / "run/metrics.jsonl";
  EXPECT_EQ(lines_of(metrics, "rollback", "from"), 1);
  EXPECT_EQ(lines_of(metrics, "train", "loss"), 12);
  EXPECT_EQ(lines_of(metrics, "train", "dropped"), 8);
  EXPECT_TRUE(fs::exists(folder.path() / "run/diverged/batches.safetensors"));
}

TEST(Rollback, SavingInBetweenChangesNothing) {
  const TemporaryFolder folder;
  const Options recipe = small_recipe({kRollback, "train.checkpoint_every=4", "train.keep_last=1"});
  run(with_bad_batch(job_for(folder.path() / "whole", recipe), 6));
  // Left before the bad batch, and once more after the return.
  Job job = job_for(folder.path() / "cut", recipe);
  int64_t taken = 0;
  Job bad = with_bad_batch(job, 6);
  bad.before_step = [inner = bad.before_step, &taken](Trainer& trainer) {
    inner(trainer);
    if (++taken == 6 || taken == 9) std::raise(SIGTERM);
  };
  EXPECT_EQ(run(bad).step, 6);
  bad.start = Job::Start::kResume;
  EXPECT_EQ(run(bad).end, Outcome::End::kInterrupted);
  EXPECT_EQ(run(bad).end, Outcome::End::kFinished);
  EXPECT_EQ(content(folder.path() / "whole/checkpoints/latest/model.safetensors"),
            content(folder.path() / "cut/checkpoints/latest/model.safetensors"));
}

TEST(Rollback, BadFromTheStartStops) {
  const TemporaryFolder folder;
  Job job = job_for(folder.path() / "run", small_recipe({kRollback, "train.max_skips=3"}));
  int64_t tries = 0;
  job.before_step = [&tries](Trainer& trainer) {
    ++tries;
    if (trainer.counters().step == 2) poison(trainer);
  };
  EXPECT_THROW(run(job), Diverged);
  // Two good steps and a bad one, four times.
  EXPECT_EQ(tries, 12);
}

TEST(Skip, RunCountsAndNeverHidesNan) {
  const TemporaryFolder folder;
  Job job = job_for(folder.path() / "run", small_recipe({kSkip, "train.log_every=100"}));
  Weights good;
  job.before_step = [&good](Trainer& trainer) {
    if (trainer.counters().step == 5) good = poison(trainer);
    if (trainer.counters().step == 6) trainer.load(good);
  };
  EXPECT_EQ(run(job).step, 12);
  const std::string metrics = content(folder.path() / "run/metrics.jsonl");
  EXPECT_NE(metrics.find("\"loss\": \"NaN\""), std::string::npos) << metrics;
  EXPECT_EQ(lines_of(folder.path() / "run/metrics.jsonl", "train", "dropped"), 2);
  EXPECT_NE(content(folder.path() / "run/log.txt").find("is dropped"), std::string::npos);
}

}  // namespace
}  // namespace longwave::train
