// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "longwave/base/error.h"
#include "longwave/data/dataset.h"
#include "longwave/io/config_file.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/sequence_model.h"

namespace longwave::runtime {
namespace {

constexpr const char* kText = R"(
seed = 3
[data]
source = "adding"
[adding]
length = 50
[model]
pattern = "s4d*2"
[train]
lr = 0.002
)";

std::string message(const std::string& text, const std::vector<std::string>& overrides) {
  try {
    static_cast<void>(read_recipe(text, "recipe.toml", overrides));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Recipe, OverridesComeAfterTheFileAndTheFileAfterTheDefaults) {
  const std::vector<std::string> overrides = {"train.lr=0.003", "model.d_model=24"};
  const Options recipe = read_recipe(kText, "recipe.toml", overrides);
  EXPECT_EQ(recipe.integer("seed"), 3);
  EXPECT_EQ(recipe.integer("adding.length"), 50);
  EXPECT_EQ(recipe.real("train.lr"), 0.003);
  EXPECT_EQ(recipe.integer("model.d_model"), 24);
  EXPECT_EQ(recipe.real("train.beta1"), 0.9);
}

TEST(Recipe, UnknownKeyIsRefusedWithPlaceAndSuggestion) {
  const std::string unknown = message(std::string(kText) + "wramup = 0.1\n", {});
  EXPECT_NE(unknown.find("recipe.toml:11"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("train.warmup"), std::string::npos) << unknown;
  const std::string override = message(kText, {"model.dmodel=3"});
  EXPECT_NE(override.find("model.d_model"), std::string::npos) << override;
}

TEST(Recipe, WrongTypesAndNamesAreRefused) {
  EXPECT_NE(message(kText, {"train.lr=fast"}), "accepted");
  EXPECT_NE(message(kText, {"train.schedule=step"}), "accepted");
  EXPECT_NE(message(kText, {"data.source=adding2"}).find("did you mean adding"), std::string::npos);
  EXPECT_NE(message(kText, {"model.pattern=s4e*2"}), "accepted");
  EXPECT_NE(message("seed = 1\n", {}), "accepted");
}

TEST(Recipe, SectionOfAnotherFamilyIsCheckedAndLeftOut) {
  const std::string text = std::string(kText) + "[parity]\nlength = 9\n";
  const Options recipe = read_recipe(text, "recipe.toml", {});
  EXPECT_FALSE(recipe.has("parity.length"));
  EXPECT_NE(message(text + "lenght = 9\n", {}), "accepted");
  const std::vector<std::string> overrides = {"data.source=parity"};
  EXPECT_EQ(read_recipe(text, "recipe.toml", overrides).integer("parity.length"), 9);
}

TEST(Recipe, ResolvedRecipeReadsBackTheSame) {
  const std::vector<std::string> overrides = {"train.lr=1e-05"};
  const Options recipe = read_recipe(kText, "recipe.toml", overrides);
  const Options back = read_recipe(io::to_toml(recipe), "resolved.toml", {});
  EXPECT_TRUE(differences(recipe, back).empty());
}

TEST(Recipe, DifferencesAreListed) {
  const std::vector<std::string> overrides = {"train.lr=0.003", "seed=4"};
  const Options before = read_recipe(kText, "recipe.toml", {});
  const Options after = read_recipe(kText, "recipe.toml", overrides);
  EXPECT_EQ(differences(before, after),
            (std::vector<std::string>{"seed: 3 -> 4", "train.lr: 0.002 -> 0.003"}));
}

std::string file_text(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

TEST(Recipe, ReferencePageListsEveryOption) {
  const std::string page =
      file_text(std::filesystem::path(LONGWAVE_SOURCE_DIR) / "docs/reference/recipe.md");
  EXPECT_TRUE(page == recipe_page())
      << "bring it up to date: longwave docs recipe > docs/reference/recipe.md";
}

TEST(Recipe, EveryShippedRecipeIsAccepted) {
  const std::filesystem::path folder = std::filesystem::path(LONGWAVE_SOURCE_DIR) / "recipes";
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    ++count;
    EXPECT_NO_THROW(static_cast<void>(load_recipe(entry.path(), {}))) << entry.path();
    EXPECT_TRUE(file_text(entry.path()).starts_with("# ")) << entry.path() << " says nothing";
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace longwave::runtime
