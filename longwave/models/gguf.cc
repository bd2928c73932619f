// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/published_config.h"

namespace longwave::models {
namespace {

constexpr const char* kArchitecture = "general.architecture";

/// "falcon-h1, mamba, mamba2" as messages say it, each once.
std::string known_architectures() {
  std::set<std::string_view> names;
  for (const PublishedFamily& family : published_families()) {
    if (family.gguf == nullptr) continue;
    names.insert({family.gguf->architecture, family.gguf->architecture_with_experts});
  }
  std::string known;
  for (const std::string_view name : names) {
    if (!name.empty()) known += (known.empty() ? "" : ", ") + std::string(name);
  }
  return known;
}

const PublishedFamily* find_family(PublishedReader& reader, const std::string& architecture) {
  for (const PublishedFamily& family : published_families()) {
    const GgufForm* form = family.gguf;
    if (form == nullptr) continue;
    const bool experts = !architecture.empty() && form->architecture_with_experts == architecture;
    if (form->architecture != architecture && !experts) continue;
    if (form->describes == nullptr || form->describes(reader)) return &family;
  }
  return nullptr;
}

}  // namespace

const GgufForm& gguf_form_of(const Config& config) {
  const PublishedFamily& family = family_of(config);
  if (family.gguf != nullptr) return *family.gguf;
  throw ConfigError({.where = std::string(family.model_type),
                     .what = "llama.cpp has no architecture for models of this family",
                     .got = {},
                     .fix = "it has these: " + known_architectures()});
}

Config from_gguf(PublishedReader& reader) {
  const std::string architecture = reader.text(kArchitecture, "");
  const PublishedFamily* family = find_family(reader, architecture);
  if (family == nullptr) {
    reader.refuse(kArchitecture, "this is not supported", "these are: " + known_architectures());
  }
  Options options = family->gguf->read(reader);
  options.set("model.family", std::string(family->model_type), "GGUF");
  options.set("model.tie", reader.flag("tie_word_embeddings", false), "GGUF");
  return next_token_config(reader, std::move(options));
}

PublishedConfig to_gguf(const Config& config) {
  check_next_token(PublishedFormat::kGguf, config);
  const GgufForm& form = gguf_form_of(config);
  PublishedConfig result = form.write(config.options);
  result.try_emplace(kArchitecture, std::string(form.architecture));
  result["vocab_size"] = config.interface.input_size;
  result["tie_word_embeddings"] = config.options.at("model.tie");
  PublishedReader reader(result, "GGUF");
  check_way_back(PublishedFormat::kGguf, from_gguf(reader).options, config);
  return result;
}

}  // namespace longwave::models
