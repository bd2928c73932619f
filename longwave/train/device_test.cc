// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/pattern.h"
#include "longwave/ops/testing/device_torch.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/testing/difference.h"
#include "longwave/train/testing/gradient_norm.h"
#include "longwave/train/testing/poison.h"
#include "longwave/train/testing/small_recipe.h"
#include "longwave/train/testing/temporary_folder.h"
#include "longwave/train/trainer.h"

namespace longwave::train {
namespace {

using longwave::testing::first_difference;
using longwave::testing::gradient_norm;
using longwave::testing::poison;
using longwave::testing::small_recipe;
using longwave::testing::TemporaryFolder;

class Device : public ops::testing::OnDevice<> {};

Options recipe_on(const char* device, std::vector<std::string> changes) {
  changes.push_back(std::string("train.device=") + device);
  const auto names_source = [](const std::string& change) {
    return change.starts_with("data.source=");
  };
  if (std::ranges::none_of(changes, names_source)) changes.push_back("adding.length=70");
  return small_recipe(changes);
}

/// Models that a GPU can train, in the variety of their blocks.
const std::vector<std::vector<std::string>> kModels = {
    {"model.pattern=mamba*2", "model.norm=rms"},
    {"model.pattern=mamba*2", "model.norm=layer", "model.mixing=glu", "model.activation=gelu"},
    {"model.pattern=mamba*2", "model.norm=batch", "model.mixing=half_glu1"},
    {"model.pattern=mamba2*2", "model.norm=rms", "mamba2.head_dim=4"},
    {"model.pattern=s4d*2", "model.norm=layer", "model.mixing=glu"},
    {"model.pattern=s4d", "s4d.bidirectional=true", "model.d_model=40"},
    {"model.pattern=s4*2", "s4.length=128"},
    {"model.pattern=s4", "s4.length=128", "s4.bidirectional=true"},
    {"model.pattern=lssl", "lssl.state=8"},
    {"model.pattern=dss"},
    {"model.pattern=s5*2", "model.norm=layer"},
    {"model.pattern=lru"},
    {"model.pattern=attention*2", "model.norm=rms", "attention.window=50"},
    {"model.pattern=lstm*2", "model.norm=layer"},
    {"model.pattern=gru", "model.norm=rms"},
    {"model.pattern=cnn*2", "cnn.width=3", "cnn.dilation=2"},
    {"model.pattern=mamba attention | moe every 2, mlp", "model.norm=rms", "model.mlp=2",
     "moe.experts=3", "moe.chosen=2"},
    {"model.pattern=mamba", "model.mixing=half_glu2", "model.activation=silu", "model.d_model=40"}};

std::string name_of(const std::vector<std::string>& model) {
  std::string name;
  for (const std::string& change : model) name += change + " ";
  return name;
}

std::vector<double> losses(Trainer& trainer, int64_t steps) {
  std::vector<double> result;
  for (int64_t i = 0; i < steps; ++i) result.push_back(trainer.step().loss);
  return result;
}

TEST_F(Device, GradientsOfAGpuAreThoseOfTheCpu) {
  for (const auto& model : kModels) {
    Trainer cpu(recipe_on("cpu", model)), gpu(recipe_on("cuda", model));
    const double expected = cpu.step().loss, got = gpu.step().loss;
    EXPECT_NEAR(got, expected, 1e-4 * (1 + std::abs(expected))) << name_of(model);
    const double whole = gradient_norm(cpu.optimiser().groups());
    for (const Parameter& parameter : cpu.model().table()) {
      const torch::Tensor wanted = cpu.model().parameter(parameter.name).grad();
      if (!wanted.defined()) continue;
      const torch::Tensor found = gpu.model().parameter(parameter.name).grad().cpu();
      const double scale = wanted.norm().item<double>() + 1e-3 * whole;
      EXPECT_LT((found - wanted).norm().item<double>(), 2e-3 * scale)
          << name_of(model) << parameter.name;
    }
  }
}

TEST_F(Device, TrainingOnAGpuFollowsTheCpu) {
  for (const auto& model : kModels) {
    Trainer cpu(recipe_on("cpu", model)), gpu(recipe_on("cuda", model));
    const std::vector<double> expected = losses(cpu, 8), got = losses(gpu, 8);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], expected[i], 0.01 * (1 + expected[i])) << name_of(model) << i;
    }
  }
}

TEST(DeviceModels, NoFamilyIsLeftOut) {
  for (const mixers::Family& family : mixers::families()) {
    const auto has_it = [&](const std::vector<std::string>& model) {
      const models::Pattern pattern = models::parse_pattern(model.front().substr(14));
      return std::ranges::any_of(pattern.layers,
                                 [&](const auto& layer) { return layer.family == family.name; });
    };
    EXPECT_TRUE(std::ranges::any_of(kModels, has_it)) << family.name;
  }
}

double norm_of(const torch::Tensor& tensor) { return tensor.norm().item<double>(); }

/// A language model's head and loss, too.
std::vector<std::vector<std::string>> models_in_bfloat() {
  std::vector<std::vector<std::string>> models = kModels;
  for (const char* family : {"mamba", "mamba2"}) {
    models.push_back({"data.source=copying", std::string("model.pattern=") + family,
                      "model.tie=true", "model.norm=rms", "model.mixing=none",
                      "model.activation=none", "model.vocabulary=50"});
  }
  return models;
}

// Both are measured against the same model in float32: what a GPU rounds is what the CPU rounds, up
// to where a sum falls on the other side of a half.
TEST_F(Device, BfloatGradientsOfAGpuAreAsCloseToFloatAsThoseOfTheCpu) {
  for (const auto& model : models_in_bfloat()) {
    Trainer cpu(recipe_on("cpu", model)), exact(recipe_on("cpu", model));
    std::vector<std::string> changes = model;
    changes.emplace_back("train.precision=bfloat16");
    Trainer gpu(recipe_on("cuda", changes));
    cpu.model().set_precision(nn::Precision::kBfloat16);
    const double expected = exact.step().loss, on_cpu = cpu.step().loss, got = gpu.step().loss;
    EXPECT_NEAR(got, expected, 3 * std::abs(on_cpu - expected) + 0.004 * (1 + std::abs(expected)))
        << name_of(model);
    double error_of_cpu = 0, error_of_gpu = 0, whole = 0;
    for (const Parameter& parameter : exact.model().table()) {
      const torch::Tensor wanted = exact.model().parameter(parameter.name).grad();
      if (!wanted.defined()) continue;
      const torch::Tensor found = gpu.model().parameter(parameter.name).grad().cpu();
      ASSERT_EQ(found.scalar_type(), torch::kFloat32) << parameter.name;
      error_of_gpu += std::pow(norm_of(found - wanted), 2);
      error_of_cpu += std::pow(norm_of(cpu.model().parameter(parameter.name).grad() - wanted), 2);
      whole += std::pow(norm_of(wanted), 2);
    }
    EXPECT_LT(std::sqrt(error_of_gpu), 2 * std::sqrt(error_of_cpu) + 0.004 * std::sqrt(whole))
        << name_of(model) << "cpu " << std::sqrt(error_of_cpu / whole) << " gpu "
        << std::sqrt(error_of_gpu / whole);
  }
}

TEST_F(Device, TrainingInBfloatFollowsFloat) {
  for (const auto& model : models_in_bfloat()) {
    std::vector<std::string> changes = model;
    Trainer exact(recipe_on("cuda", changes));
    changes.emplace_back("train.precision=bfloat16");
    Trainer rounded(recipe_on("cuda", changes));
    const std::vector<double> expected = losses(exact, 8), got = losses(rounded, 8);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], expected[i], 0.05 * (1 + expected[i])) << name_of(model) << i;
    }
  }
}

TEST_F(Device, TensorCoresOfFloatStayClose) {
  Trainer exact(recipe_on("cuda", {"model.pattern=mamba*2"}));
  const double expected = exact.step().loss;
  Trainer fast(recipe_on("cuda", {"model.pattern=mamba*2", "train.precision=tf32"}));
  EXPECT_NEAR(fast.step().loss, expected, 0.01 * (1 + expected));
}

/// Models and ways to train them, once in each precision.
std::vector<std::vector<std::string>> all_models() {
  std::vector<std::vector<std::string>> models = kModels;
  models.push_back({"model.pattern=mamba", "train.accumulate=3", "train.batch=4"});
  models.push_back({"model.pattern=s4d", "train.clip=0.01", "model.dropout_tied=false"});
  for (std::vector<std::string> model : models_in_bfloat()) {
    model.emplace_back("train.precision=bfloat16");
    models.push_back(model);
  }
  return models;
}

TEST_F(Device, SameSeedSameBitsAndResumeIsBitExactOnAGpu) {
  for (const auto& model : all_models()) {
    const TemporaryFolder folder;
    const Options recipe = recipe_on("cuda", model);
    Trainer whole(recipe);
    const std::vector<double> expected = losses(whole, 10);
    CheckpointStore store(folder.path(), {});
    Trainer first(recipe);
    std::vector<double> got = losses(first, 4);
    store.write(4, CheckpointStore::Rank::kOrdinary, 1,
                [&first](const std::filesystem::path& path) { return first.save(path); });
    Trainer second(recipe);
    second.restore(store.path(4));
    for (const double loss : losses(second, 6)) got.push_back(loss);
    EXPECT_EQ(got, expected) << name_of(model);
    EXPECT_EQ(first_difference(second.model().weights(), whole.model().weights()), "");
  }
}

/// Whether a graph can hold the passes: the host reads how many steps go to an expert.
bool can_be_recorded(const std::vector<std::string>& model) {
  return std::ranges::none_of(
      model, [](const std::string& change) { return change.find("moe") != std::string::npos; });
}

TEST_F(Device, RecordedStepsGiveTheBitsOfQueuedOnes) {
  for (std::vector<std::string> model : all_models()) {
    Trainer recorded(recipe_on("cuda", model));
    model.emplace_back("train.graphs=off");
    Trainer queued(recipe_on("cuda", model));
    std::string note;
    for (int64_t i = 0; i < 10; ++i) {
      const Trainer::Step got = recorded.step(), expected = queued.step();
      EXPECT_EQ(got.loss, expected.loss) << name_of(model) << i;
      EXPECT_EQ(got.gradient_norm, expected.gradient_norm) << name_of(model) << i;
      EXPECT_EQ(expected.note, "");
      note += got.note;
    }
    EXPECT_EQ(first_difference(recorded.model().weights(), queued.model().weights()), "");
    EXPECT_EQ(note.starts_with("steps are recorded"), can_be_recorded(model))
        << name_of(model) << note;
  }
}

TEST_F(Device, RecordedStepsThatAreNotFiniteAreDroppedLikeQueuedOnes) {
  for (const char* norm : {"model.norm=batch", "model.norm=rms"}) {
    std::vector<std::vector<double>> got;
    std::vector<Weights> weights;
    for (const char* graphs : {"train.graphs=auto", "train.graphs=off"}) {
      Trainer trainer(
          recipe_on("cuda", {"model.pattern=s4d*2", norm, graphs, "train.on_divergence=skip"}));
      got.push_back(losses(trainer, 4));
      const Weights good = poison(trainer);
      EXPECT_EQ(trainer.step().update, Trainer::Step::Update::kDropped) << norm << " " << graphs;
      trainer.load(good);
      for (const double loss : losses(trainer, 3)) got.back().push_back(loss);
      weights.push_back(trainer.model().weights());
    }
    EXPECT_EQ(got[0], got[1]) << norm;
    EXPECT_EQ(first_difference(weights[0], weights[1]), "") << norm;
  }
}

TEST_F(Device, StepsOfOtherShapesAreQueuedBetweenRecordedOnes) {
  const std::vector<std::string> model = {"model.pattern=mamba2*2", "mamba2.head_dim=4"};
  Trainer recorded(recipe_on("cuda", model)), queued(recipe_on("cuda", model));
  Trainer other(recipe_on("cuda", {model[0], model[1], "train.batch=3", "train.graphs=off"}));
  other.step();
  const std::vector<double> expected = losses(queued, 8);
  std::vector<double> got = losses(recorded, 5);
  const Gradients between = recorded.gradients(other.last_batches(), 0);
  EXPECT_TRUE(between.finite());
  for (const double loss : losses(recorded, 3)) got.push_back(loss);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(first_difference(recorded.model().weights(), queued.model().weights()), "");
}

TEST(DeviceModels, AMissingGpuIsRefused) {
  if (ops::testing::has_gpu()) GTEST_SKIP() << "there is one";
  for (const char* name : {"cuda", "gpu"}) {
    EXPECT_THROW(Trainer(recipe_on(name, {})), ConfigError) << name;
  }
}

}  // namespace
}  // namespace longwave::train
