// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/init_from.h"

#include <algorithm>
#include <string>

#include "longwave/base/error.h"
#include "longwave/runtime/recipe.h"

namespace longwave::runtime {
namespace {

constexpr const char* kVocabulary = "model.vocabulary";

/// What an option is if nobody sets it. That of the pattern is not in a recipe's schema.
const Value& otherwise(const Options& recipe, const std::string& key, const Schema& models) {
  const std::string name = key.substr(key.find('.') + 1);
  if (key == "model.pattern") return std::ranges::find(models, name, &Option::key)->value;
  return std::ranges::find(recipe.schema(), key, &Option::key)->value;
}

[[noreturn]] void refuse(const std::string& key, const Value& asked, const Value& found) {
  throw ConfigError({.where = key,
                     .what = "the recipe and the checkpoint of train.init_from differ",
                     .got = to_string(asked) + " and " + to_string(found),
                     .fix = "leave it out of the recipe: the model is the checkpoint's"});
}

}  // namespace

Options with_model_of(const Options& recipe, const models::Config& checkpoint) {
  const Options& model = checkpoint.options;
  const Schema models = models::model_schema();
  Options result(recipe_schema(recipe.text("data.source"), model.text("model.pattern")));
  for (const Option& option : result.schema()) {
    const std::string& key = option.key;
    const bool given = recipe.has(key);
    const bool recipes = !model.has(key) || key.starts_with("model.dropout");
    if (recipes) {
      if (given) result.set(key, recipe.at(key), "recipe");
      continue;
    }
    Value value = model.at(key);
    if (key == kVocabulary && checkpoint.interface.input == models::Interface::Input::kTokens) {
      value = checkpoint.interface.input_size;
    }
    if (given && recipe.at(key) != otherwise(recipe, key, models) && recipe.at(key) != value) {
      refuse(key, recipe.at(key), value);
    }
    result.set(key, value, "train.init_from");
  }
  return result;
}

}  // namespace longwave::runtime
