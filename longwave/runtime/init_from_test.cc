// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/init_from.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/recipe.h"

namespace longwave::runtime {
namespace {

using longwave::testing::message_of;

const char* const kRecipe = "seed = 3\n[data]\nsource = \"induction\"\n[train]\nlr = 0.5\n";

Options adopted(const std::vector<std::string>& overrides) {
  const ModelFolder folder =
      load_model_folder(LONGWAVE_SOURCE_DIR "/tests/fixtures/published/mamba");
  return with_model_of(read_recipe(kRecipe, "recipe", overrides), folder.config);
}

TEST(InitFrom, TheModelIsTheCheckpointsAndTheRestTheRecipes) {
  const Options recipe = adopted({"model.dropout=0.25"});
  EXPECT_EQ(recipe.text("model.pattern"), "mamba*2");
  EXPECT_EQ(recipe.integer("model.d_model"), 12);
  EXPECT_EQ(recipe.integer("mamba.dt_rank"), 3);
  EXPECT_EQ(recipe.integer("model.vocabulary"), 24);
  EXPECT_TRUE(recipe.flag("model.tie"));
  EXPECT_EQ(recipe.real("model.dropout"), 0.25);
  EXPECT_EQ(recipe.real("train.lr"), 0.5);
  EXPECT_EQ(recipe.integer("seed"), 3);
}

TEST(InitFrom, AgreementIsAccepted) {
  const Options recipe =
      adopted({"model.pattern=mamba*2", "model.d_model=12", "model.norm=rms", "mamba.state=5"});
  EXPECT_EQ(recipe.integer("mamba.state"), 5);
}

TEST(InitFrom, DisagreementIsRefusedByName) {
  for (const auto& [assignment, key] : {std::pair{"model.d_model=16", "model.d_model"},
                                        {"model.pattern=mamba*3", "model.pattern"},
                                        {"model.norm=batch", "model.norm"},
                                        {"model.vocabulary=25", "model.vocabulary"}}) {
    const std::string said = message_of<ConfigError>([&] { adopted({assignment}); });
    EXPECT_NE(said.find(key), std::string::npos) << said;
    EXPECT_NE(said.find("init_from"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace longwave::runtime
