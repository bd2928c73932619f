// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/options.h"

namespace longwave::io {

/// One value of a configuration file under its dotted key, and the line that set it.
struct Setting {
  std::string key;
  Value value;
  int64_t line = 0;
};

/// The settings of a TOML text in the order of their lines; `where` names the text in messages.
///
/// Tables become dotted keys; values are true/false, integers, numbers, text and lists of integers.
///
/// Errors     ConfigError at "where:line" for bad TOML, duplicate keys, dates, other lists, lists
///            of tables, keys that hold a dot themselves, and more than 32 levels.
std::vector<Setting> parse_toml(std::string_view text, std::string_view where);

/// The settings of a JSON object; errors as `parse_toml`, also for null.
std::vector<Setting> parse_json(std::string_view text, std::string_view where);

/// Reads a file of at most 1 MiB: JSON if its name ends in .json, else TOML. IoError, ConfigError.
std::vector<Setting> load_config(const std::filesystem::path& path);

/// Sets each one in `options`, with "where:line" as its origin.
void apply(const std::vector<Setting>& settings, std::string_view where, Options& options);

/// What `to_toml` writes above each value.
enum class Comments : uint8_t { kNone, kHelp };

/// Every option with its value, sections in order of declaration; `parse_toml` reads it back.
///
/// Errors     ConfigError if a text is not UTF-8.
std::string to_toml(const Options& options, Comments comments = Comments::kNone);

/// Every option with its value as nested, indented JSON; `parse_json` reads it back.
///
/// Errors     ConfigError if a number is not finite or a text is not UTF-8.
std::string to_json(const Options& options);

}  // namespace longwave::io
