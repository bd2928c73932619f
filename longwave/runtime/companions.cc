// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/companions.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/run_folder.h"
#include "longwave/text/chat_template.h"

namespace longwave::runtime {
namespace {

using Json = nlohmann::ordered_json;
using text::StoredFile;

constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kTemplateFile = "chat_template.jinja";
constexpr const char* kTemplate = "chat_template";
constexpr std::array<const char*, 4> kSettings = {kTokenizerConfig, "generation_config.json",
                                                  "special_tokens_map.json", kTemplateFile};
/// Bytes of one of them that are read at most.
constexpr uint64_t kFileLimit = uint64_t{16} << 20;

constexpr const char* kGgufTemplate = "tokenizer.chat_template";
constexpr const char* kGgufFile = "tokenizer.file.";

std::vector<StoredFile>::iterator find(std::vector<StoredFile>& files, std::string_view name) {
  return std::ranges::find(files, name, &StoredFile::name);
}

Json object_of(const std::string& text) {
  Json object = Json::parse(text, nullptr, false);
  return object.is_object() ? object : Json::object();
}

std::string text_of(const Json& object) {
  return object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Settings as they came, with what only others say.
std::string merged(const std::string& settings, const std::string& others) {
  Json object = object_of(settings);
  const Json more = object_of(others);
  bool same = true;
  for (const auto& [key, value] : more.items()) {
    if (object.contains(key)) continue;
    object[key] = value;
    same = false;
  }
  return same ? settings : text_of(object);
}

/// Whatever the metadata hold beside the vocabulary.
Companions companions_of(const io::Gguf& file) {
  Companions found;
  const auto text = [&](const std::string& key) -> std::optional<std::string> {
    const std::string* value = io::gguf_text(file.metadata(), key);
    return value == nullptr ? std::nullopt : std::optional(*value);
  };
  found.chat_template = text(kGgufTemplate);
  for (const char* name : kSettings) {
    if (auto content = text(kGgufFile + std::string(name))) {
      found.files.push_back({name, std::move(*content)});
    }
  }
  return found;
}

}  // namespace

Companions load_companions(const std::filesystem::path& path) {
  Companions found;
  if (is_gguf_file(path)) {
    found = companions_of(io::Gguf(path));
  } else {
    const std::filesystem::path folder = find_model_folder(path);
    std::error_code ignored;
    for (const char* name : kSettings) {
      if (!std::filesystem::exists(folder / name, ignored)) continue;
      found.files.push_back({name, io::read_text(folder / name, kFileLimit)});
    }
    found.chat_template = text::ChatTemplate::find_source(folder);
  }
  found.tokenizer = load_tokenizer(path);
  return found;
}

std::vector<StoredFile> files_of(const Companions& companions) {
  std::vector<StoredFile> files;
  if (companions.tokenizer != nullptr) files = companions.tokenizer->files();
  for (const StoredFile& settings : companions.files) {
    const auto own = find(files, settings.name);
    if (own == files.end()) {
      files.push_back(settings);
    } else {
      own->content = merged(settings.content, own->content);
    }
  }
  if (!companions.chat_template || find(files, kTemplateFile) != files.end()) return files;
  const std::string said = text_of({{kTemplate, *companions.chat_template}});
  const auto config = find(files, kTokenizerConfig);
  if (config == files.end()) {
    files.push_back({kTokenizerConfig, said});
  } else {
    config->content = merged(config->content, said);
  }
  return files;
}

void write_companions(const std::filesystem::path& folder, const Companions& companions) {
  for (const StoredFile& file : files_of(companions)) {
    io::write_file_atomically(folder / file.name, file.content);
  }
}

void add_companions(const Companions& companions, io::GgufMetadata& metadata) {
  if (companions.chat_template) {
    metadata.insert_or_assign(kGgufTemplate, io::GgufValue::text(*companions.chat_template));
  }
  for (const StoredFile& file : companions.files) {
    if (file.name == kTemplateFile) continue;
    std::string content = file.content;
    if (file.name == kTokenizerConfig) {
      // What is said once can be changed there.
      Json object = object_of(content);
      if (object.contains(kTemplate) && object[kTemplate].is_string()) {
        object.erase(kTemplate);
        content = text_of(object);
      }
    }
    metadata.insert_or_assign(kGgufFile + file.name, io::GgufValue::text(std::move(content)));
  }
}

}  // namespace longwave::runtime
