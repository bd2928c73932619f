// SPDX-License-Identifier: Apache-2.0
#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "longwave/io/config_file.h"
#include "longwave/io/config_reader.h"

namespace longwave::io {
namespace {

std::vector<int64_t> read_list(const toml::array& array, const std::string& key,
                               std::string_view where, int64_t line) {
  std::vector<int64_t> list;
  for (const toml::node& node : array) {
    const auto* item = node.as_integer();
    if (item == nullptr) reject_config(where, line, key + ": " + kListsHoldIntegers);
    list.push_back(item->get());
  }
  return list;
}

Value read_value(const toml::node& node, const std::string& key, std::string_view where,
                 int64_t line) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* array = node.as_array()) return read_list(*array, key, where, line);
  reject_config(where, line, key + ": dates and times are not used here", {},
                "write it in quotes if it is meant as text");
}

void flatten(const toml::table& table, const std::string& prefix, int level, std::string_view where,
             std::vector<Setting>& settings) {
  for (const auto& [name, node] : table) {
    const int64_t line = name.source().begin.line;
    if (level > kMostLevels) reject_config(where, line, "sections are nested too deeply");
    std::string key = joined_key(prefix, name.str(), where, line);
    if (const auto* inner = node.as_table()) {
      flatten(*inner, key, level + 1, where, settings);
    } else {
      Value value = read_value(node, key, where, line);
      settings.push_back({std::move(key), std::move(value), line});
    }
  }
}

/// Bounds how deep a table can get before the parser, which recurses, sees the text: a line makes
/// at most one level a dot and brace, and braces nest.
void check_nesting(std::string_view text, std::string_view where) {
  constexpr int64_t kMostDots = 64, kMostBraces = 64;
  int64_t line = 1, dots = 0, braces = 0;
  for (char c : text) {
    line += c == '\n' ? 1 : 0;
    dots = c == '\n' ? 0 : dots + (c == '.' ? 1 : 0);
    braces += c == '{' ? 1 : 0;
    if (dots > kMostDots || braces > kMostBraces) {
      reject_config(where, line, "more dots on a line or more inline tables than a recipe has", {},
                    "use [section] headers");
    }
  }
}

}  // namespace

std::vector<Setting> parse_toml(std::string_view text, std::string_view where) {
  check_nesting(text, where);
  std::vector<Setting> settings;
  try {
    flatten(toml::parse(text), "", 1, where, settings);
  } catch (const toml::parse_error& error) {
    reject_config(where, error.source().begin.line, "not valid TOML",
                  std::string(error.description()));
  }
  std::ranges::stable_sort(settings, {}, &Setting::line);
  return settings;
}

}  // namespace longwave::io
