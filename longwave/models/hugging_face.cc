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

/// Options that say how a model starts, trains or is run, but not what it computes.
bool computes_nothing(const std::string& key) {
  constexpr const char* kEndings[] = {".dropout",  ".dropout_tied", ".scale_branches", ".pool",
                                      ".balance",  ".vocabulary",   ".A_min",          ".A_max",
                                      ".dt_min",   ".dt_max",       ".dt_floor",       ".dt_init",
                                      ".dt_scale", ".family",       ".window"};
  return std::ranges::any_of(kEndings, [&](const char* ending) { return key.ends_with(ending); });
}

/// Whether both options say the same of the model.
bool agree(const std::string& key, const Options& ours, const Options& back) {
  if (computes_nothing(key)) return true;
  if (key == "model.head_bias" && ours.flag("model.tie")) return true;
  if (!back.has(key)) return false;
  if (key != "model.pattern") return ours.at(key) == back.at(key);
  return parse_pattern(ours.text(key)).layers == parse_pattern(back.text(key)).layers;
}

/// Refuses a model that would come back as another one.
void check_way_back(const PublishedConfig& written, const Config& config) {
  PublishedReader reader(written, kConfigName);
  const Options& ours = config.options;
  const Options back = from_hugging_face(reader).options;
  for (const Option& option : ours.schema()) {
    if (agree(option.key, ours, back)) continue;
    throw ConfigError({.where = option.key,
                       .what = "the hf form of " + ours.text("model.family") + " cannot say this",
                       .got = to_string(ours.at(option.key)),
                       .fix = back.has(option.key)
                                  ? "it needs " + to_string(back.at(option.key))
                                  : "it needs the layers " + to_string(back.at("model.pattern"))});
  }
}

}  // namespace

const PublishedFamily& family_of(const Config& config) {
  const std::string& name = config.options.text("model.family");
  const std::string& pattern = config.options.text("model.pattern");
  const PublishedFamily* family =
      find_published_family(name.empty() ? layers_of(pattern).front() : name);
  if (family != nullptr) return *family;
  throw ConfigError({.where = name.empty() ? "model.pattern" : "model.family",
                     .what = "the hf form cannot say this",
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
  const int64_t vocabulary = reader.integer("vocab_size");
  if (vocabulary < 1 || vocabulary > (1 << 24)) reader.refuse("vocab_size", "is out of range");
  return {{.input = Interface::Input::kTokens,
           .input_size = vocabulary,
           .output = Interface::Output::kStep,
           .output_size = vocabulary},
          std::move(options)};
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
    check_way_back(result, config);
  }
  return result;
}

}  // namespace longwave::models
