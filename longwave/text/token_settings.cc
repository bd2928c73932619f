// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/token_settings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/text/json_reader.h"

namespace longwave::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kGenerationConfig = "generation_config.json";
/// Bytes of one of the files that are read at most.
constexpr uint64_t kFileLimit = uint64_t{16} << 20;

/// The object in a file; nothing if there is no such file.
std::optional<nlohmann::json> read_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  const JsonReader reader{path.string()};
  nlohmann::json object = reader.parse(io::read_text(path, kFileLimit));
  if (!object.is_object()) reader.fail("this is no JSON object", object.type_name());
  return object;
}

/// A token is a text, or an object that holds it.
std::optional<std::string> token_of(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_object() || !found->contains("content")) return std::nullopt;
  const nlohmann::json& content = (*found)["content"];
  return content.is_string() ? std::optional(content.get<std::string>()) : std::nullopt;
}

std::optional<bool> flag_of(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

/// One id, or a list of them.
std::vector<int64_t> ids_of(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return {};
  std::vector<int64_t> ids;
  const nlohmann::json list = found->is_array() ? *found : nlohmann::json::array({*found});
  for (const nlohmann::json& each : list) {
    if (each.is_number_integer()) ids.push_back(each.get<int64_t>());
  }
  return ids;
}

/// The token of this text, of equals an added one.
std::optional<int64_t> id_of(const TokenizerSpec& spec, const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto added = std::ranges::find(spec.added, *text, &AddedToken::content);
  if (added != spec.added.end()) return added->id;
  const auto found = std::ranges::find(spec.tokens, std::optional(*text));
  if (found == spec.tokens.end()) return std::nullopt;
  return found - spec.tokens.begin();
}

/// Adds the token to those around a text, or takes it away.
void set(std::vector<int64_t>& around, std::optional<bool> wanted, std::optional<int64_t> id) {
  if (!wanted || !id) return;
  const bool there = std::ranges::find(around, *id) != around.end();
  if (*wanted && !there) around.insert(around.begin(), *id);
  if (!*wanted) std::erase(around, *id);
}

}  // namespace

TokenSettings load_token_settings(const fs::path& folder) {
  TokenSettings settings;
  if (const auto config = read_object(folder / kTokenizerConfig)) {
    settings.add_begin = flag_of(*config, "add_bos_token");
    settings.add_end = flag_of(*config, "add_eos_token");
    settings.begin = token_of(*config, "bos_token");
    settings.end = token_of(*config, "eos_token");
  }
  for (const char* name : {kGenerationConfig, "config.json"}) {
    if (!settings.ends.empty()) break;
    if (const auto config = read_object(folder / name)) {
      settings.ends = ids_of(*config, "eos_token_id");
    }
  }
  return settings;
}

std::vector<StoredFile> format_token_settings(const TokenSettings& settings) {
  Json config = Json::object();
  if (settings.add_begin) config["add_bos_token"] = *settings.add_begin;
  if (settings.add_end) config["add_eos_token"] = *settings.add_end;
  if (settings.begin) config["bos_token"] = *settings.begin;
  if (settings.end) config["eos_token"] = *settings.end;
  std::vector<StoredFile> files;
  if (!config.empty()) files.push_back({kTokenizerConfig, config.dump(1) + "\n"});
  if (!settings.ends.empty()) {
    files.push_back({kGenerationConfig, Json{{"eos_token_id", settings.ends}}.dump(1) + "\n"});
  }
  return files;
}

void apply(const TokenSettings& settings, TokenizerSpec& spec) {
  const auto size = static_cast<int64_t>(spec.tokens.size());
  set(spec.begin, settings.add_begin, id_of(spec, settings.begin));
  const std::optional<int64_t> end = id_of(spec, settings.end);
  set(spec.end, settings.add_end, end);
  if (end) spec.ends.push_back(*end);
  for (const int64_t id : settings.ends) {
    if (id >= 0 && id < size) spec.ends.push_back(id);
  }
}

}  // namespace longwave::text
