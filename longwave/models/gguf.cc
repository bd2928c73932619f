// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/published_config.h"

namespace longwave::models {
namespace {

constexpr const char* kArchitecture = "general.architecture";

/// "mamba, mamba2 and ..." as messages say it.
std::string known_architectures() {
  std::string known;
  for (const PublishedFamily& family : published_families()) {
    if (family.gguf == nullptr) continue;
    known += (known.empty() ? "" : ", ") + std::string(family.gguf->architecture);
  }
  return known;
}

const PublishedFamily* find_family(PublishedReader& reader, const std::string& architecture) {
  for (const PublishedFamily& family : published_families()) {
    const GgufForm* form = family.gguf;
    if (form == nullptr || form->architecture != architecture) continue;
    if (form->describes == nullptr || form->describes(reader)) return &family;
  }
  return nullptr;
}

}  // namespace

const GgufForm& gguf_form_of(const Config& config) {
  const PublishedFamily& family = family_of(config);
  if (family.gguf != nullptr) return *family.gguf;
  throw ConfigError({.where = std::string(family.model_type),
                     .what = "models of this family have no form in GGUF files here",
                     .got = {},
                     .fix = "these have: " + known_architectures()});
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
  result[kArchitecture] = std::string(form.architecture);
  result["vocab_size"] = config.interface.input_size;
  result["tie_word_embeddings"] = config.options.at("model.tie");
  PublishedReader reader(result, "GGUF");
  check_way_back(PublishedFormat::kGguf, from_gguf(reader).options, config);
  return result;
}

}  // namespace longwave::models
