// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "longwave/inspect/testing/markup.h"
#include "longwave/models/testing/model_case.h"

namespace longwave::inspect {
namespace {

ComparedModel model_of(const std::string& name, const std::string& pattern) {
  ComparedModel model{.name = name, .pattern = pattern, .d_model = 16, .parameters = 990};
  for (const double length : {100.0, 1000.0, 10'000.0}) {
    model.lengths.push_back({.length = static_cast<int64_t>(length),
                             .prefill_median = 1e-6 * length * length,
                             .step_p50 = 3,
                             .step_p99 = 4,
                             .state_bytes = 4'000'000,
                             .state_bytes_used = static_cast<int64_t>(40 * length)});
    model.training.push_back({.time_steps = static_cast<int64_t>(length),
                              .seconds = length,
                              .added_bytes = static_cast<int64_t>(length)});
  }
  return model;
}

Comparison example() {
  Comparison comparison{.recipe = "a<b>.toml", .budget = 1000, .seed = 7, .lengths = {100, 1000}};
  comparison.facts = {{"threads", "2"}};
  comparison.models = {model_of("attention", "attention*2 | mlp"), model_of("s4d", "s4d*2")};
  comparison.models[0].quality =
      TrainedQuality{.end = "finished", .steps = 5, .seconds = 2, .test = {{"accuracy", 0.75}}};
  comparison.models[1].quality = TrainedQuality{.end = "diverged", .steps = 1, .seconds = 1};
  comparison.models.push_back({.name = "s5", .pattern = "s5*2", .d_model = 8, .parameters = 1100});
  return comparison;
}

TEST(Growth, SlopeOfAPowerIsItsExponent) {
  std::vector<double> x, y;
  for (const double length : {3.0, 17.0, 1000.0, 65536.0}) {
    x.push_back(length);
    y.push_back(0.2 * std::pow(length, 1.7));
  }
  EXPECT_NEAR(log_slope(x, y), 1.7, 1e-12);
  x.push_back(5);
  y.push_back(std::numeric_limits<double>::quiet_NaN());
  EXPECT_NEAR(log_slope(x, y), 1.7, 1e-12);
  EXPECT_TRUE(std::isnan(log_slope({}, {})));
  EXPECT_TRUE(std::isnan(log_slope({1}, {2})));
  EXPECT_TRUE(std::isnan(log_slope({2, 2}, {1, 3})));
}

TEST(Growth, IsReadFromEveryColumn) {
  for (const Growth& growth :
       {measured_growth(example().models[0]), final_growth(example().models[0])}) {
    EXPECT_NEAR(growth.prefill, 2, 1e-9);
    EXPECT_NEAR(growth.step, 0, 1e-9);
    EXPECT_NEAR(growth.state, 1, 1e-9);
    EXPECT_NEAR(growth.training_time, 1, 1e-9);
    EXPECT_NEAR(growth.training_memory, 1, 1e-9);
  }
  EXPECT_TRUE(std::isnan(measured_growth(example().models[2]).prefill));
}

TEST(Growth, AHybridGrowsAsItsFastestPart) {
  EXPECT_EQ(growth_in_theory("mamba*3 attention").prefill, 2);
  EXPECT_EQ(growth_in_theory("mamba*3 attention").state, 1);
  EXPECT_EQ(growth_in_theory("mamba*3 lstm").prefill, 1);
  EXPECT_EQ(growth_in_theory("mamba*3 lstm").step, 0);
}

TEST(Comparison, MarkdownHasEveryModelAndSaysWhatIsUnknown) {
  const std::string text = comparison_markdown(example());
  EXPECT_NE(text.find("| attention | attention*2 \\| mlp | 16 | 990 | -1.0 % | 0.7500 |"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("| s4d | s4d*2 | 16 | 990 | -1.0 % | diverged |"), std::string::npos);
  EXPECT_NE(text.find("| s5 | s5*2 | 8 | 1,100 | +10.0 % | – |"), std::string::npos);
  EXPECT_NE(text.find("2.00 (2.00; 2)"), std::string::npos);
  EXPECT_NE(text.find("seed (7)"), std::string::npos);
  EXPECT_NE(text.find("- threads: 2"), std::string::npos);
  EXPECT_EQ(text.find("nan"), std::string::npos);
}

TEST(Comparison, JsonHoldsEverything) {
  const auto json = nlohmann::json::parse(comparison_json(example()));
  EXPECT_EQ(json["models"].size(), 3u);
  EXPECT_EQ(json["models"][0]["lengths"].size(), 3u);
  EXPECT_EQ(json["models"][0]["quality"]["test"]["accuracy"], 0.75);
  EXPECT_EQ(json["models"][1]["quality"]["end"], "diverged");
  EXPECT_TRUE(json["models"][2]["growth"]["measured"]["prefill_time"].is_null());
  EXPECT_EQ(json["equal"], "parameters");
}

TEST(Comparison, PageIsWellFormedAndHasNoScript) {
  const std::string page = comparison_html(example(), "made by <me> & you");
  EXPECT_TRUE(testing::well_formed(page));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(page.find("Latency of a step"), std::string::npos);
  EXPECT_TRUE(testing::well_formed(comparison_html({.recipe = "empty", .budget = 1}, "")));
}

TEST(LengthCost, TellsWhatIsInUseOfARing) {
  using models::Interface;
  models::testing::ModelCase small{"Ring",
                                   {"model.pattern=attention", "attention.window=64"},
                                   {Interface::Input::kReal, 2, Interface::Output::kStep, 3}};
  const auto model = std::make_shared<const runtime::Model>(small.config(), small.weights(5));
  runtime::Session session(model);
  check_step_equals_prefill(session, 9);
  const LengthCost half = measure_length(session, {.length = 32, .prefills = 2, .steps = 4});
  const LengthCost full = measure_length(session, {.length = 64, .prefills = 2, .steps = 4});
  EXPECT_EQ(half.state_bytes, full.state_bytes);
  // All but the position, two numbers of which the high one is zero.
  EXPECT_EQ(2 * (half.state_bytes_used - 4), full.state_bytes_used - 4);
  EXPECT_EQ(full.state_bytes_used, full.state_bytes - 4);
  EXPECT_GT(half.step_p50, 0);
  EXPECT_LE(half.prefill_least, half.prefill_median);
}

}  // namespace
}  // namespace longwave::inspect
