// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "longwave/base/error.h"
#include "longwave/ops/testing/device_torch.h"
#include "longwave/runtime/init_from.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/run_folder.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/dry_run.h"
#include "longwave/train/testing/small_recipe.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using longwave::testing::content;
using longwave::testing::small_recipe;
using longwave::testing::TemporaryFolder;

Job job_for(const fs::path& folder, const Options& recipe) {
  return {.start = Job::Start::kFresh,
          .recipe = recipe,
          .folder = folder,
          .recipe_text = "# as given\n",
          .facts = {{"command", std::string("test")}},
          .write = [](std::string_view) {},
          .screen = Talk::Screen::kPlain};
}

int64_t lines(const std::string& text) { return std::ranges::count(text, '\n'); }

TEST(Run, FolderRepeatsTheRun) {
  const TemporaryFolder folder;
  const Outcome first = run(job_for(folder.path() / "a", small_recipe()));
  EXPECT_EQ(first.end, Outcome::End::kFinished);
  EXPECT_EQ(first.step, 12);
  ASSERT_TRUE(first.test.has_value());
  for (const char* name :
       {"config.toml", "resolved.toml", "env.json", "log.txt", "metrics.jsonl", "metrics.csv",
        "checkpoints/latest/model.safetensors", "checkpoints/best/train_state.safetensors"}) {
    EXPECT_TRUE(fs::exists(folder.path() / "a" / name)) << name;
  }
  run(job_for(folder.path() / "b", recipe_of_run(folder.path() / "a")));
  const auto weights = [&](const char* name) {
    return content(folder.path() / name / "checkpoints/latest/model.safetensors");
  };
  EXPECT_EQ(weights("a"), weights("b"));
}

TEST(Run, EvaluationInTrainingEqualsEvaluationOfTheModel) {
  const TemporaryFolder folder;
  const Options recipe = small_recipe();
  const Outcome outcome = run(job_for(folder.path() / "run", recipe));
  const auto model = runtime::load_model_folder(runtime::find_model_folder(folder.path() / "run"));
  const models::SequenceModel network(model.config, model.weights);
  const auto data = data::source("adding").open(recipe.section("adding"), data::Split::kTest, 7);
  EXPECT_EQ(runtime::evaluate(network, *data).metrics, outcome.test->metrics);
}

/// Steps of size zero leave what training started from, under a larger vocabulary than the data's.
TEST(Run, TrainingStartsFromThePublishedWeights) {
  const TemporaryFolder folder;
  const fs::path published = LONGWAVE_SOURCE_DIR "/tests/fixtures/published/mamba2_one_group";
  const runtime::ModelFolder start = runtime::load_model_folder(published);
  const Options recipe = runtime::with_model_of(
      runtime::read_recipe(
          "[data]\nsource = \"induction\"\n", "recipe",
          std::vector<std::string>{"induction.length=12", "induction.examples=16",
                                   "induction.held_out=4", "train.steps=2", "train.batch=8",
                                   "train.threads=1", "train.lr=0", "train.ssm_lr=0",
                                   "train.init_from=" + published.string()}),
      start.config);
  const Outcome outcome = run(job_for(folder.path() / "run", recipe));
  const runtime::ModelFolder end = runtime::load_model_folder(outcome.model);
  EXPECT_EQ(end.config.interface.input_size, 24);
  for (const Parameter& parameter : models::parameters(start.config)) {
    EXPECT_TRUE(std::ranges::equal(start.weights.get(parameter.name, parameter.shape),
                                   end.weights.get(parameter.name, parameter.shape)))
        << parameter.name;
  }
  // Resuming needs the run alone.
  EXPECT_EQ(recipe_of_run(folder.path() / "run").integer("model.vocabulary"), 24);
}

TEST(Run, MetricsHaveALineForEachLoggedStep) {
  const TemporaryFolder folder;
  run(job_for(folder.path() / "run", small_recipe()));
  std::istringstream stream(content(folder.path() / "run" / "metrics.jsonl"));
  int64_t train = 0;
  for (std::string line; std::getline(stream, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    train += json["split"] == "train" ? 1 : 0;
    EXPECT_TRUE(json["loss"].is_number()) << line;
  }
  EXPECT_EQ(train, 12);
  // One heading, twelve steps, two evaluations (an epoch is 8 steps), one test.
  EXPECT_EQ(lines(content(folder.path() / "run" / "metrics.csv")), 1 + 12 + 2 + 1);
}

TEST(Run, LanguageModelGoesOnWithFixedPrompts) {
  const TemporaryFolder folder;
  const fs::path book = folder.path() / "book.txt";
  std::ofstream(book) << std::string(400, 'a') + std::string(400, 'b');
  const std::vector<std::string> common = {"data.source=text",       "text.path=" + book.string(),
                                           "text.length=16",         "text.validation=0",
                                           "train.steps=4",          "train.eval_every=2",
                                           "train.test_at_end=false"};
  std::vector<std::string> two = common, none = common;
  two.insert(two.end(), {"train.sample_tokens=5", "train.prompts=ab|b"});
  none.emplace_back("train.sample_tokens=0");
  run(job_for(folder.path() / "two", small_recipe(two)));
  run(job_for(folder.path() / "none", small_recipe(none)));
  for (const char* name : {"step_00000002.txt", "step_00000004.txt"}) {
    const std::string page = content(folder.path() / "two/samples" / name);
    EXPECT_TRUE(page.starts_with("[ab]")) << page;
    EXPECT_NE(page.find("\n\n[b]"), std::string::npos) << page;
  }
  EXPECT_FALSE(fs::exists(folder.path() / "none/samples"));
  // Looking at a model must not change what it becomes.
  EXPECT_EQ(content(folder.path() / "two/checkpoints/latest/model.safetensors"),
            content(folder.path() / "none/checkpoints/latest/model.safetensors"));
}

TEST(Run, ExistingRunIsNotWrittenOver) {
  const TemporaryFolder folder;
  Job first = job_for(folder.path() / "run", small_recipe({"train.steps=1"}));
  std::string said;
  first.write = [&](std::string_view text) { said += text; };
  run(first);
  EXPECT_TRUE(said.starts_with("run folder " + first.folder.string() + "\n")) << said;
  EXPECT_THROW(run(job_for(folder.path() / "run", small_recipe())), IoError);
}

TEST(Run, WhatTheMachineCannotDoIsRefusedBeforeAnythingIsMadeOrSaid) {
  const TemporaryFolder folder;
  std::vector<std::string> wrong = {"train.device=tpu", "train.precision=bfloat16"};
  if (!ops::testing::has_gpu())
    wrong.insert(wrong.end(), {"train.device=cuda", "train.device=gpu"});
  for (const std::string& change : wrong) {
    std::string said;
    const auto start = [&] {
      Job job = job_for(folder.path() / "run", small_recipe({change}));
      job.write = [&](std::string_view text) { said += text; };
      run(job);
    };
    EXPECT_THROW(start(), ConfigError) << change;
    EXPECT_FALSE(fs::exists(folder.path() / "run")) << change;
    EXPECT_EQ(said, "") << change;
  }
}

TEST(Run, SignalSavesAndLeavesAndResumeEndsTheSame) {
  const TemporaryFolder folder;
  run(job_for(folder.path() / "whole", small_recipe()));

  Job job = job_for(folder.path() / "cut", small_recipe({"train.log_seconds=0.0"}));
  int64_t heard = 0;
  // The fifth progress line brings the signal.
  job.write = [&](std::string_view text) {
    if (text.starts_with("step") && ++heard == 5) std::raise(SIGTERM);
  };
  const Outcome cut = run(job);
  EXPECT_EQ(cut.end, Outcome::End::kInterrupted);
  EXPECT_EQ(cut.step, 5);
  job.start = Job::Start::kResume;
  job.write = [](std::string_view) {};
  const Outcome rest = run(job);
  EXPECT_EQ(rest.end, Outcome::End::kFinished);
  EXPECT_EQ(content(folder.path() / "whole/checkpoints/latest/model.safetensors"),
            content(folder.path() / "cut/checkpoints/latest/model.safetensors"));
  EXPECT_EQ(lines(content(folder.path() / "whole/metrics.csv")),
            lines(content(folder.path() / "cut/metrics.csv")));
}

TEST(Run, UserSignalSavesAndGoesOn) {
  const TemporaryFolder folder;
  Job job = job_for(folder.path() / "run",
                    small_recipe({"train.log_seconds=0.0", "train.keep_last=100"}));
  int64_t heard = 0;
  job.write = [&](std::string_view text) {
    if (text.starts_with("step") && ++heard == 3) std::raise(SIGUSR1);
  };
  EXPECT_EQ(run(job).end, Outcome::End::kFinished);
  EXPECT_TRUE(fs::exists(folder.path() / "run/checkpoints/step_00000003"));
}

TEST(Run, DamagedLatestCheckpointIsPassedOverOnResume) {
  const TemporaryFolder folder;
  Job job = job_for(folder.path() / "run",
                    small_recipe({"train.checkpoint_every=4", "train.keep_last=10"}));
  run(job);
  const std::string whole = content(folder.path() / "run/checkpoints/latest/model.safetensors");
  fs::resize_file(folder.path() / "run/checkpoints/step_00000012/model.safetensors", 100);
  job.start = Job::Start::kResume;
  EXPECT_EQ(run(job).step, 12);
  EXPECT_EQ(content(folder.path() / "run/checkpoints/latest/model.safetensors"), whole);
}

TEST(Run, DivergenceLeavesABundleThatReplayRepeats) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  // A learning rate that no model survives.
  EXPECT_THROW(run(job_for(path, small_recipe({"train.lr=1e12", "train.ssm_lr=1e12",
                                               "train.warmup=0.0", "train.steps=50"}))),
               Diverged);
  for (const char* name :
       {"model.safetensors", "config.json", "batches.safetensors", "meta.json"}) {
    EXPECT_TRUE(fs::exists(path / "diverged" / name)) << name;
  }
  try {
    replay(path);
    FAIL() << "the replay was finite";
  } catch (const Diverged& error) {
    const Record meta = read_meta(path / "diverged");
    EXPECT_EQ(error.report().what, text_of(meta, "what"));
    EXPECT_EQ(error.report().got, text_of(meta, "got"));
  }
}

TEST(Run, DryRunCountsEveryParameterAndWritesNothing) {
  const Options recipe = small_recipe();
  const Plan plan = dry_run(recipe);
  Trainer trainer(recipe);
  int64_t expected = 0;
  for (const Parameter& parameter : trainer.model().table()) {
    expected += element_count(parameter.shape);
  }
  const Component& total = plan.total;
  EXPECT_EQ(total.main + total.ssm + total.no_decay + total.buffer, expected);
  EXPECT_EQ(plan.steps, 12);
  EXPECT_EQ(plan.time_steps_a_step, 8 * 12);
  EXPECT_GT(plan.seconds_a_step, 0);
  EXPECT_NE(to_text(plan).find("layers.1.mixer"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(to_json(plan)));
}

}  // namespace
}  // namespace longwave::train
