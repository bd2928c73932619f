// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/config_file.h"

#include <algorithm>
#include <utility>

#include "longwave/io/config_reader.h"
#include "longwave/io/file.h"

namespace longwave::io {

void reject_config(std::string_view where, int64_t line, std::string what, std::string got,
                   std::string fix) {
  throw ConfigError({.where = std::string(where) + ":" + std::to_string(line),
                     .what = std::move(what),
                     .got = std::move(got),
                     .fix = std::move(fix)});
}

std::string joined_key(std::string_view prefix, std::string_view name, std::string_view where,
                       int64_t line) {
  const bool plain =
      std::ranges::none_of(name, [](unsigned char c) { return c == '.' || c < 0x20 || c == 0x7f; });
  if (name.empty() || !plain) {
    reject_config(where, line, "a key must have a name without dots in quotes",
                  "\"" + std::string(name) + "\"", "write sections as [section] or section.key");
  }
  return prefix.empty() ? std::string(name) : std::string(prefix) + "." + std::string(name);
}

std::vector<Setting> load_config(const std::filesystem::path& path) {
  constexpr uint64_t kLimit = uint64_t{1} << 20;
  const std::string text = read_text(path, kLimit);
  return path.extension() == ".json" ? parse_json(text, path.string())
                                     : parse_toml(text, path.string());
}

void apply(const std::vector<Setting>& settings, std::string_view where, Options& options) {
  for (const Setting& setting : settings) {
    options.set(setting.key, setting.value,
                std::string(where) + ":" + std::to_string(setting.line));
  }
}

}  // namespace longwave::io
