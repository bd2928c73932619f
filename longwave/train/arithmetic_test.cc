// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace longwave::train {
namespace {

constexpr int64_t kVocabulary = 50;

models::Config language_model(const std::vector<std::string>& settings) {
  Options options(models::config_schema("lstm*2 | moe every 2"));
  for (const std::string& setting : settings) options.assign(setting, "test");
  const models::Interface interface {
    models::Interface::Input::kTokens, kVocabulary, models::Interface::Output::kStep, kVocabulary
  };
  return models::make_config(interface, options);
}

const std::vector<std::string> kSmall = {"model.d_model=8", "model.head_bias=false",
                                         "moe.experts=4", "moe.chosen=2", "moe.hidden=6"};

TEST(Arithmetic, EmbeddingsAreLookedUp) {
  std::vector<std::string> tied = kSmall;
  tied.emplace_back("model.tie=true");
  // Tied or not, the table is multiplied by once: as the head.
  EXPECT_EQ(operations_a_time_step(language_model(kSmall)),
            operations_a_time_step(language_model(tied)));
}

TEST(Arithmetic, OnlyChosenExpertsCount) {
  std::vector<std::string> all = kSmall;
  all.emplace_back("moe.chosen=4");
  int64_t experts = 0;
  for (const Parameter& parameter : models::parameters(language_model(kSmall))) {
    if (parameter.name.find(".moe.up") != std::string::npos ||
        parameter.name.find(".moe.down") != std::string::npos) {
      experts += element_count(parameter.shape);
    }
  }
  ASSERT_GT(experts, 0);
  EXPECT_EQ(
      operations_a_time_step(language_model(all)) - operations_a_time_step(language_model(kSmall)),
      6.0 * static_cast<double>(experts) / 2);
}

TEST(Arithmetic, SpeedIsThatOfSomeMachine) {
  const double speed = attainable_speed(torch::kCPU, nn::Precision::kOwn);
  EXPECT_TRUE(std::isfinite(speed));
  EXPECT_GT(speed, 0);
}

}  // namespace
}  // namespace longwave::train
