// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <fstream>

#include "longwave/base/error.h"
#include "longwave/io/config_file.h"
#include "longwave/train/dry_run.h"
#include "longwave/train/testing/small_recipe.h"
#include "longwave/train/testing/temporary_folder.h"
#include "longwave/train/training_cost.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using inspect::Comparison;
using longwave::testing::small_recipe;
using longwave::testing::TemporaryFolder;

/// A comparison of small models whose costs of training are measured in this process.
struct Tried {
  TemporaryFolder folder;
  CompareJob job;
  Comparison seen;  ///< as last published
  int published = 0;

  explicit Tried(std::vector<std::string> mixers) {
    const fs::path recipe = folder.path() / "small.toml";
    std::ofstream(recipe) << io::to_toml(small_recipe());
    job = {.recipe = recipe,
           .overrides = {"train.steps=3"},
           .mixers = std::move(mixers),
           .budget = 4000,
           .lengths = {16, 64},
           .prefills = 2,
           .threads = 1,
           .folder = folder.path() / "out",
           .write = [](std::string_view) {}};
    job.step_cost = [](const fs::path& path) {
      const Plan plan = dry_run(runtime::load_recipe(path, {}));
      return inspect::TrainingCost{.time_steps = plan.time_steps_a_step,
                                   .seconds = plan.seconds_a_step};
    };
    job.length_cost = [](const fs::path& path, int64_t length) {
      return measure_training(runtime::load_model_folder(path), length);
    };
    job.publish = [this](const Comparison& comparison) {
      seen = comparison;
      ++published;
    };
  }
};

TEST(Compare, MeasuresEveryModelAtTheBudget) {
  Tried tried({"s4d", "lstm", "mamba", "attention", "s4d attention"});
  EXPECT_EQ(compare(tried.job), Outcome::End::kFinished);
  ASSERT_EQ(tried.seen.models.size(), 5u);
  EXPECT_EQ(tried.seen.models[1].pattern, "lstm*2");
  EXPECT_EQ(tried.seen.models[4].pattern, "s4d attention");
  for (const inspect::ComparedModel& model : tried.seen.models) {
    ASSERT_TRUE(model.quality.has_value()) << model.name;
    EXPECT_EQ(model.quality->end, "finished");
    EXPECT_EQ(model.quality->steps, 3);
    EXPECT_FALSE(model.quality->test.empty());
    ASSERT_EQ(model.lengths.size(), 2u);
    ASSERT_EQ(model.training.size(), 2u);
    EXPECT_GT(model.training[1].seconds, 0);
    EXPECT_GT(model.training_step->seconds, 0);
    EXPECT_EQ(model.training_step->time_steps, 8 * 12);
    EXPECT_GT(model.parameters, 0);
  }
  // The window of attention is the longest length: what is in use grows as far as that.
  const inspect::ComparedModel& attention = tried.seen.models[3];
  EXPECT_LT(attention.lengths[0].state_bytes_used, attention.lengths[1].state_bytes_used);
  // A state of fixed size is in use from the start; a number of it may be zero by chance.
  EXPECT_NEAR(static_cast<double>(tried.seen.models[0].lengths[0].state_bytes_used) /
                  static_cast<double>(tried.seen.models[0].lengths[1].state_bytes_used),
              1, 0.02);
}

TEST(Compare, BudgetIsTheRecipesUnlessGiven) {
  Tried tried({"s4d"});
  tried.job.budget = 0;
  tried.job.training = CompareJob::Training::kSkip;
  tried.job.lengths = {};
  EXPECT_EQ(compare(tried.job), Outcome::End::kFinished);
  EXPECT_EQ(tried.seen.models[0].d_model, 8);
  EXPECT_EQ(tried.seen.models[0].parameters, tried.seen.budget);
  EXPECT_FALSE(tried.seen.models[0].quality.has_value());
}

TEST(Compare, NearestFamilyIsOfferedBeforeAnyWork) {
  Tried tried({"s4d", "mambo"});
  try {
    compare(tried.job);
    FAIL() << "mambo is no family";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("mamba"), std::string::npos) << error.what();
  }
  EXPECT_EQ(tried.published, 0);
  EXPECT_THROW(compare(Tried({"s4d", "s4d"}).job), ConfigError);
}

TEST(Compare, ASignalLeavesWhatWasMeasured) {
  Tried tried({"s4d", "lstm"});
  const auto measure = tried.job.length_cost;
  tried.job.length_cost = [&](const fs::path& path, int64_t length) {
    std::raise(SIGINT);
    return measure(path, length);
  };
  EXPECT_EQ(compare(tried.job), Outcome::End::kInterrupted);
  ASSERT_EQ(tried.seen.models.size(), 2u);
  EXPECT_TRUE(tried.seen.models[0].quality.has_value());
  EXPECT_EQ(tried.seen.models[0].lengths.size(), 1u);
  EXPECT_TRUE(tried.seen.models[1].lengths.empty());
}

TEST(Compare, AnEarlierComparisonIsNotOverwritten) {
  Tried tried({"s4d"});
  tried.job.training = CompareJob::Training::kSkip;
  tried.job.lengths = {};
  compare(tried.job);
  EXPECT_THROW(compare(tried.job), IoError);
}

TEST(TrainingCost, TellsTimeAndMemoryOfASequence) {
  Tried tried({"lstm"});
  tried.job.training = CompareJob::Training::kSkip;
  compare(tried.job);
  const runtime::ModelFolder model =
      runtime::load_model_folder(tried.job.folder / "lstm" / "measured");
  const inspect::TrainingCost cost = measure_training(model, 33);
  EXPECT_EQ(cost.time_steps, 33);
  EXPECT_GT(cost.seconds, 0);
  EXPECT_GE(cost.peak_bytes, cost.added_bytes);
}

}  // namespace
}  // namespace longwave::train
