// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/testing/difference.h"
#include "longwave/train/testing/gradient_norm.h"
#include "longwave/train/testing/poison.h"
#include "longwave/train/testing/small_recipe.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

using longwave::testing::first_difference;
using longwave::testing::gradient_norm;
using longwave::testing::poison;
using longwave::testing::small_recipe;
using longwave::testing::some_parameter;
using longwave::testing::TemporaryFolder;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

std::vector<double> losses(Trainer& trainer, int64_t steps) {
  std::vector<double> result;
  for (int64_t i = 0; i < steps; ++i) result.push_back(trainer.step().loss);
  return result;
}

TEST(Trainer, SameSeedSameBits) {
  Trainer first(small_recipe());
  Trainer second(small_recipe());
  EXPECT_EQ(losses(first, 10), losses(second, 10));
  EXPECT_EQ(first_difference(first.model().weights(), second.model().weights()), "");
  Trainer other(small_recipe({"seed=8"}));
  EXPECT_NE(losses(other, 1), losses(first, 1));
}

TEST(Trainer, ResumeIsBitExact) {
  // 64 examples in batches of 8: the split falls within and at the end of an epoch; dropout and
  // batch statistics are on.
  for (const int64_t before : {int64_t{1}, int64_t{5}, int64_t{8}}) {
    for (const char* norm : {"model.norm=layer", "model.norm=batch"}) {
      const TemporaryFolder folder;
      const Options recipe = small_recipe({norm, "train.accumulate=2"});
      Trainer whole(recipe);
      std::vector<double> expected = losses(whole, 12);
      const Weights at_end = whole.model().weights();

      CheckpointStore store(folder.path(), {});
      std::vector<double> got;
      {
        Trainer first(recipe);
        got = losses(first, before);
        store.write(before, CheckpointStore::Rank::kOrdinary, 1,
                    [&](const std::filesystem::path& path) { return first.save(path); });
      }
      torch::manual_seed(99);  // nothing may depend on what the process did before
      Trainer second(recipe);
      second.restore(store.path(before));
      EXPECT_EQ(second.counters().step, before);
      for (const double loss : losses(second, 12 - before)) got.push_back(loss);
      EXPECT_EQ(got, expected) << norm << " after " << before;
      EXPECT_EQ(first_difference(second.model().weights(), at_end), "") << norm;
      EXPECT_EQ(second.counters().ema, whole.counters().ema);
    }
  }
}

TEST(Trainer, TokenizerTravelsWithTheModel) {
  const TemporaryFolder folder;
  const std::filesystem::path book = folder.path() / "book.txt", saved = folder.path() / "saved";
  io::write_file_atomically(book, std::string(400, 'a') + std::string(400, 'b'));
  Trainer trainer(small_recipe(
      {"data.source=text", "text.path=" + book.string(), "text.length=16", "text.validation=0"}));
  trainer.step();
  std::filesystem::create_directories(saved);
  trainer.save(saved);
  const auto tokenizer = runtime::load_tokenizer(saved);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->files().front().content, trainer.info().tokenizer->files().front().content);
  EXPECT_EQ(tokenizer->size(), trainer.model().config().interface.output_size);
}

TEST(Trainer, AccumulatedBatchesEqualOneLargeBatch) {
  // Without dropout, whose masks differ, and in double the size of the rounding of a mean.
  const std::vector<std::string> common = {"model.dropout=0.0", "train.clip=0.0"};
  std::vector<std::string> large = common, small = common;
  large.insert(large.end(), {"train.batch=16"});
  small.insert(small.end(), {"train.batch=8", "train.accumulate=2"});
  Trainer one(small_recipe(large));
  Trainer two(small_recipe(small));
  one.step();
  two.step();
  ASSERT_EQ(one.last_batches().size(), 1U);
  ASSERT_EQ(two.last_batches().size(), 2U);
  const torch::Tensor joined =
      torch::cat({two.last_batches()[0].input, two.last_batches()[1].input});
  ASSERT_TRUE(torch::equal(joined, one.last_batches()[0].input)) << "other examples";
  Worst worst("gradient");
  for (const Parameter& parameter : one.model().table()) {
    const torch::Tensor a = one.model().parameter(parameter.name).grad();
    const torch::Tensor b = two.model().parameter(parameter.name).grad();
    if (!a.defined() || a.numel() == 0) continue;
    // Every gradient sums over sequences, steps and channels.
    constexpr int64_t kTerms = 16 * 12 * 8 * 8;
    const Tolerance tolerance = Tolerance::sum<float>(kTerms, a.abs().max().item<double>() + 1e-3);
    const torch::Tensor flat_a = a.reshape({-1}), flat_b = b.reshape({-1});
    for (int64_t i = 0; i < flat_a.numel(); ++i) {
      worst.compare(i, flat_a[i].item<double>(), flat_b[i].item<double>(), tolerance);
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Trainer, OneBatchIsLearntByHeart) {
  Trainer trainer(small_recipe({"adding.examples=8", "model.dropout=0.0", "model.d_model=16",
                                "train.steps=300", "train.lr=0.01", "train.weight_decay=0.0"}));
  const std::vector<double> found = losses(trainer, 300);
  EXPECT_LT(found.back(), 1e-3 * found.front());
}

TEST(Trainer, EveryParameterIsInTheGroupOfItsTable) {
  Trainer trainer(small_recipe({"train.lr=0.5", "train.ssm_lr=0.25", "train.weight_decay=0.125"}));
  std::map<std::string, const Group*> group_of;
  for (const Group& group : trainer.optimiser().groups()) {
    for (const Slot& slot : group.slots) group_of[slot.name] = &group;
  }
  int64_t ssm = 0;
  for (const Parameter& parameter : trainer.model().table()) {
    const auto found = group_of.find(parameter.name);
    if (parameter.group == ParameterGroup::kBuffer) {
      EXPECT_EQ(found, group_of.end()) << parameter.name;
      EXPECT_FALSE(trainer.model().parameter(parameter.name).requires_grad()) << parameter.name;
      continue;
    }
    ASSERT_NE(found, group_of.end()) << parameter.name;
    const bool is_ssm = parameter.group == ParameterGroup::kSsm;
    ssm += is_ssm ? 1 : 0;
    EXPECT_EQ(found->second->lr, is_ssm ? 0.25 : 0.5) << parameter.name;
    EXPECT_EQ(found->second->decay, parameter.group == ParameterGroup::kMain ? 0.125 : 0.0)
        << parameter.name;
  }
  EXPECT_GT(ssm, 0);
}

TEST(Trainer, TheCpuRefusesPrecisionsOfAGpu) {
  for (const char* precision : {"bfloat16", "tf32"}) {
    EXPECT_THROW(Trainer(small_recipe({std::string("train.precision=") + precision})), ConfigError);
  }
}

TEST(Trainer, ClippingLimitsTheGradient) {
  Trainer trainer(small_recipe({"train.clip=0.001"}));
  const Trainer::Step step = trainer.step();
  ASSERT_GT(step.gradient_norm, 0.001);
  EXPECT_NEAR(gradient_norm(trainer.optimiser().groups()), 0.001, 1e-8);
}

TEST(Trainer, NanInTheWeightsStopsTheRunAndIsNamed) {
  Trainer trainer(small_recipe());
  trainer.step();
  const std::string name = some_parameter(poison(trainer));
  try {
    trainer.step();
    FAIL() << "nothing was noticed";
  } catch (const Diverged& error) {
    EXPECT_NE(error.report().what.find(name), std::string::npos) << error.what();
  }
  EXPECT_EQ(trainer.counters().step, 1) << "the step must not count";
}

}  // namespace
}  // namespace longwave::train
