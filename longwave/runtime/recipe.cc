// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/recipe.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "longwave/base/error.h"
#include "longwave/data/dataset.h"
#include "longwave/io/config_file.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/sequence_model.h"
#include "longwave/nn/moe.h"

namespace longwave::runtime {
namespace {

/// The text that `key` will end up with: the last override, else the file, else the default.
std::string chosen(const std::string& key, const std::string& otherwise,
                   const std::vector<io::Setting>& settings,
                   std::span<const std::string> overrides) {
  std::string text = otherwise;
  for (const io::Setting& setting : settings) {
    if (setting.key == key) text = to_string(setting.value);
  }
  for (const std::string& assignment : overrides) {
    if (assignment.starts_with(key + "=")) text = assignment.substr(key.size() + 1);
  }
  return text;
}

std::string default_pattern() {
  for (const Option& option : models::model_schema()) {
    if (option.key == "pattern") return to_string(option.value);
  }
  return {};
}

/// The options of every family and source, used or not.
Options every_section() {
  Schema all = in_section("moe", nn::moe_schema());
  for (const mixers::Family& family : mixers::families()) {
    std::ranges::move(in_section(family.name, family.schema()), std::back_inserter(all));
  }
  for (const data::Source& source : data::sources()) {
    std::ranges::move(in_section(source.name, source.schema()), std::back_inserter(all));
  }
  return Options(all);
}

/// As a recipe would spell it: text in quotes.
std::string spelled(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? "\"" + *text + "\"" : to_string(value);
}

}  // namespace

Schema recipe_schema(const std::string& source, const std::string& pattern) {
  std::vector<std::string> sources;
  for (const data::Source& known : data::sources()) sources.emplace_back(known.name);
  Schema schema{{.key = "seed",
                 .value = int64_t{0},
                 .help = "decides every random number of a run",
                 .least = 0},
                {.key = "data.source",
                 .value = source,
                 .help = "where sequences come from; its options stand in a section of that name",
                 .choices = sources}};
  const auto add = [&schema](Schema part) { std::ranges::move(part, std::back_inserter(schema)); };
  const data::Source& chosen_source = data::source(source);
  add(in_section(chosen_source.name, chosen_source.schema()));
  add(models::config_schema(pattern));
  add(in_section("train", train_schema()));
  return schema;
}

namespace {

Options resolve(const std::vector<io::Setting>& settings, std::string_view name,
                std::span<const std::string> overrides) {
  const std::string source = chosen("data.source", "", settings, overrides);
  if (source.empty()) {
    throw ConfigError({.where = std::string(name),
                       .what = "no data source is named",
                       .got = {},
                       .fix = "write for example: data.source = \"fashion_mnist\""});
  }
  const std::string pattern = chosen("model.pattern", default_pattern(), settings, overrides);
  Options options(recipe_schema(source, pattern));
  Options unused = every_section();
  for (const io::Setting& setting : settings) {
    const bool spare = !options.has(setting.key) && unused.has(setting.key);
    (spare ? unused : options)
        .set(setting.key, setting.value, fmt::format("{}:{}", name, setting.line));
  }
  for (const std::string& assignment : overrides) options.assign(assignment, "command line");
  return options;
}

}  // namespace

Options read_recipe(std::string_view toml, std::string_view name,
                    std::span<const std::string> overrides) {
  return resolve(io::parse_toml(toml, name), name, overrides);
}

Options load_recipe(const std::filesystem::path& file, std::span<const std::string> overrides) {
  return resolve(io::load_config(file), file.string(), overrides);
}

std::vector<std::string> differences(const Options& before, const Options& after) {
  std::vector<std::string> found;
  for (const Option& option : before.schema()) {
    const std::string old_value = spelled(before.at(option.key));
    if (!after.has(option.key)) {
      found.push_back(fmt::format("{}: {} -> absent", option.key, old_value));
    } else if (before.at(option.key) != after.at(option.key)) {
      found.push_back(
          fmt::format("{}: {} -> {}", option.key, old_value, spelled(after.at(option.key))));
    }
  }
  for (const Option& option : after.schema()) {
    if (before.has(option.key)) continue;
    found.push_back(fmt::format("{}: absent -> {}", option.key, spelled(after.at(option.key))));
  }
  return found;
}

}  // namespace longwave::runtime
