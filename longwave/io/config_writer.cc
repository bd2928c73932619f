// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/config_file.h"

namespace longwave::io {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& key, std::string what, std::string got) {
  throw ConfigError(
      {.where = "option " + key, .what = std::move(what), .got = std::move(got), .fix = {}});
}

/// Text in quotes with the escapes that JSON and TOML share.
std::string in_quotes(const std::string& key, const std::string& text) {
  std::string quoted;
  try {
    quoted = Json(text).dump();
  } catch (const Json::type_error& error) {
    refuse(key, "text must be UTF-8", error.what());
  }
  std::string escaped;
  for (char c : quoted) {
    constexpr char kDelete = 0x7f;
    if (c == kDelete) {
      escaped += "\\u007f";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

bool is_bare(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

/// A dotted key with its unusual parts in quotes.
std::string toml_key(std::string_view key) {
  std::string text;
  while (true) {
    const size_t dot = std::min(key.find('.'), key.size());
    const std::string name(key.substr(0, dot));
    text += is_bare(name) ? name : in_quotes(name, name);
    if (dot == key.size()) return text;
    text += ".";
    key.remove_prefix(dot + 1);
  }
}

std::string section_of(const std::string& key) {
  const size_t dot = key.rfind('.');
  return dot == std::string::npos ? std::string() : key.substr(0, dot);
}

Json json_value(const std::string& key, const Value& value) {
  if (const auto* real = std::get_if<double>(&value); real != nullptr && !std::isfinite(*real)) {
    refuse(key, "JSON has no number for this value", to_string(value));
  }
  return std::visit([](const auto& content) { return Json(content); }, value);
}

}  // namespace

std::string to_toml(const Options& options, Comments comments) {
  // Values without a section come first: after a header they would belong to it.
  std::vector<std::string> sections = {""};
  for (const Option& option : options.schema()) {
    const std::string section = section_of(option.key);
    if (std::ranges::find(sections, section) == sections.end()) sections.push_back(section);
  }
  std::string text;
  for (const std::string& section : sections) {
    if (!section.empty()) text += (text.empty() ? "[" : "\n[") + toml_key(section) + "]\n";
    for (const Option& option : options.schema()) {
      if (section_of(option.key) != section) continue;
      if (comments == Comments::kHelp && !option.help.empty()) text += "# " + option.help + "\n";
      const std::string name = option.key.substr(section.empty() ? 0 : section.size() + 1);
      const Value& value = options.at(option.key);
      const auto* words = std::get_if<std::string>(&value);
      text += toml_key(name) + " = " +
              (words != nullptr ? in_quotes(option.key, *words) : to_string(value)) + "\n";
    }
  }
  return text;
}

std::string to_json(const Options& options) {
  Json root = Json::object();
  for (const Option& option : options.schema()) {
    Json* place = &root;
    std::string_view rest = option.key;
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      place = &(*place)[std::string(rest.substr(0, dot))];
      rest.remove_prefix(dot + 1);
    }
    (*place)[std::string(rest)] = json_value(option.key, options.at(option.key));
  }
  constexpr int kIndent = 2;
  try {
    return root.dump(kIndent) + "\n";
  } catch (const Json::type_error& error) {
    refuse("", "text must be UTF-8", error.what());
  }
}

}  // namespace longwave::io
