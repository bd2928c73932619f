// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/options.h"

namespace longwave::runtime {

/// The "train" section of a recipe, without its prefix: how long, how fast, what is kept.
Schema train_schema();

/// Everything that a recipe with this data source and layer pattern may say: "seed", "data.*", the
/// source's section, "model.*", one section for each family in the pattern, "train.*".
///
/// Errors     ConfigError if the source or a family has no such name.
Schema recipe_schema(const std::string& source, const std::string& pattern);

/// Reads a recipe file and applies "key=value" overrides, in that order over the defaults.
///
/// A section of a family or source that exists but is not used is checked and left out, so that
/// `model.pattern` and `data.source` can be overridden without editing the file.
///
/// Errors     IoError if the file cannot be read; ConfigError with file and line otherwise.
Options load_recipe(const std::filesystem::path& file, std::span<const std::string> overrides);

/// The same from text; `name` stands for the file in messages.
Options read_recipe(std::string_view toml, std::string_view name,
                    std::span<const std::string> overrides);

/// "train.lr: 0.01 -> 0.003" for each key whose value differs or that only one side has.
std::vector<std::string> differences(const Options& before, const Options& after);

/// docs/reference/recipe.md: every option of every section.
std::string recipe_page();

}  // namespace longwave::runtime
