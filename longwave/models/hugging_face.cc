// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

/// "mamba, mamba2 and ..." as messages say it.
std::string known_families() {
  std::string known;
  for (const PublishedFamily& family : published_families()) {
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return known;
}

}  // namespace

const PublishedFamily& family_of(const Config& config) {
  const std::string& name = config.options.text("model.family");
  const std::string& pattern = config.options.text("model.pattern");
  const PublishedFamily* family =
      find_published_family(name.empty() ? layers_of(pattern).front() : name);
  if (family != nullptr) return *family;
  throw ConfigError({.where = name.empty() ? "model.pattern" : "model.family",
                     .what = "published forms cannot say this",
                     .got = "\"" + (name.empty() ? pattern : name) + "\"",
                     .fix = "it needs the layers of a published family: " + known_families()});
}

Config from_hugging_face(PublishedReader& reader) {
  const std::string name = reader.text("model_type", "");
  const PublishedFamily* family = find_published_family(name);
  if (family == nullptr) {
    reader.refuse("model_type", "this is not supported", "these are: " + known_families());
  }
  Options options = family->read(reader);
  options.set("model.family", name, kConfigName);
  pass_over_common(reader);
  return next_token_config(reader, std::move(options));
}

PublishedConfig to_hugging_face(const Config& config) {
  check_next_token(PublishedFormat::kHuggingFace, config);
  const PublishedFamily& family = family_of(config);
  PublishedConfig result = family.write(config.options);
  result["model_type"] = std::string(family.model_type);
  result["architectures.0"] = std::string(family.architecture);
  result["dtype"] = std::string("float32");
  result["vocab_size"] = config.interface.input_size;
  result["tie_word_embeddings"] = config.options.at("model.tie");
  if (config.options.text("model.family").empty()) {
    check_publishable(PublishedFormat::kHuggingFace, config);
  } else {
    PublishedReader reader(result, kConfigName);
    check_way_back(PublishedFormat::kHuggingFace, from_hugging_face(reader).options, config);
  }
  return result;
}

}  // namespace longwave::models
