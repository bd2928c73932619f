// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <string>

#include "longwave/data/dataset.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/sequence_model.h"
#include "longwave/nn/moe.h"
#include "longwave/runtime/recipe.h"

namespace longwave::runtime {
namespace {

std::string type_of(const Value& value) {
  constexpr std::array<const char*, 5> kNames = {"true or false", "integer", "number", "text",
                                                 "list of integers"};
  return kNames[value.index()];
}

/// A bound as people write it; nothing if there is none worth a word.
std::string bound(double value) {
  constexpr double kNoLimit = 1e9;
  return std::abs(value) >= kNoLimit ? std::string() : fmt::format("{}", value);
}

std::string allowed(const Option& option) {
  if (!option.choices.empty()) {
    std::string text;
    for (const std::string& choice : option.choices) {
      text += fmt::format("{}`{}`", text.empty() ? "" : ", ", choice);
    }
    return text;
  }
  const std::string least = bound(option.least);
  const std::string most = bound(option.most);
  std::string text = type_of(option.value);
  if (!least.empty() && !most.empty()) return fmt::format("{}, {} to {}", text, least, most);
  if (!least.empty()) return fmt::format("{}, at least {}", text, least);
  if (!most.empty()) return fmt::format("{}, at most {}", text, most);
  return text;
}

std::string default_of(const Option& option) {
  const std::string text = to_string(option.value);
  return text.empty() ? "none" : fmt::format("`{}`", text);
}

std::string table(const Schema& schema) {
  if (schema.empty()) return "No options.\n";
  std::string text = "| key | default | allowed | meaning |\n|---|---|---|---|\n";
  for (const Option& option : schema) {
    text += fmt::format("| `{}` | {} | {} | {} |\n", option.key, default_of(option),
                        allowed(option), option.help);
  }
  return text;
}

}  // namespace

std::string recipe_page() {
  std::string text =
      "# Recipes\n\n"
      "A recipe is a TOML file that says all that decides a run: where sequences come from, what "
      "the model is, how it is trained. `longwave train FILE key=value ...` reads it and applies "
      "the overrides; keys are written with dots there, such as `train.lr=0.003`. A key that is "
      "not listed here is refused, with the nearest one that is.\n\n"
      "This page is made from the tables in the program by `longwave docs recipe`; a test fails "
      "if it is out of date.\n\n"
      "| key | default | allowed | meaning |\n|---|---|---|---|\n"
      "| `seed` | `0` | integer, at least 0 | decides every random number of a run |\n"
      "| `data.source` | none | see Sources | where sequences come from |\n\n"
      "## `[train]`\n\n";
  text += table(train_schema());
  text += "\n## `[model]`\n\n";
  text += table(models::model_schema());
  text += "\n## `[moe]`\n\nExperts, where `model.pattern` asks for them.\n\n";
  text += table(nn::moe_schema());
  text += "\n## Families\n\nEach family named in `model.pattern` has a section of its name.\n";
  for (const mixers::Family& family : mixers::families()) {
    text += fmt::format("\n### `[{}]`\n\n{}.\n\n{}", family.name, family.summary,
                        table(family.schema()));
  }
  text += "\n## Sources\n\nThe source named by `data.source` has a section of its name.\n";
  for (const data::Source& source : data::sources()) {
    text += fmt::format("\n### `[{}]`\n\n{}.\n\n{}", source.name, source.summary,
                        table(source.schema()));
  }
  return text;
}

}  // namespace longwave::runtime
