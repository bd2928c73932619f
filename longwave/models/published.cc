// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/published.h"

#include <algorithm>
#include <span>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/published_config.h"

namespace longwave::models {
namespace {

constexpr const char* kHead = "lm_head.weight";

bool is_standardisation(const std::string& name) {
  return name == "decoder.shift" || name == "decoder.scale";
}

std::string embedding_name(PublishedFormat format) {
  return format == PublishedFormat::kStateSpaces ? "backbone.embedding.weight"
                                                 : "backbone.embeddings.weight";
}

std::string theirs_of(PublishedFormat format, const std::string& ours) {
  if (ours == "encoder.weight") return embedding_name(format);
  if (ours == "decoder.weight") return kHead;
  if (ours.starts_with("norm.")) return "backbone.norm_f." + ours.substr(5);
  return "backbone." + ours;  // layers.N.norm.*, layers.N.mixer.*
}

/// Refuses a head that is said to be the embedding and is not.
void check_tied_head(const Weights& file, const PublishedTensor& embedding,
                     std::string_view where) {
  if (!file.has(kHead)) return;
  const auto head = file.get(kHead, embedding.shape);
  if (std::ranges::equal(head, file.get(embedding.theirs, embedding.shape))) return;
  throw DataError({.where = std::string(where),
                   .what = std::string(kHead) + " differs from " + embedding.theirs +
                           ", and the configuration says that they are tied",
                   .got = {},
                   .fix = "set tie_embeddings or tie_word_embeddings to false in config.json"});
}

}  // namespace

std::string_view name_of(PublishedFormat format) {
  return format == PublishedFormat::kStateSpaces ? "state-spaces" : "hf";
}

std::optional<PublishedFormat> published_format(const PublishedConfig& config) {
  if (config.contains("model_type")) return PublishedFormat::kHuggingFace;
  if (config.contains("d_model") && config.contains("n_layer")) {
    return PublishedFormat::kStateSpaces;
  }
  return std::nullopt;
}

Config from_published(PublishedFormat format, const PublishedConfig& config,
                      std::string_view where) {
  PublishedReader reader(config, where);
  Config result = format == PublishedFormat::kStateSpaces ? from_state_spaces(reader)
                                                          : from_hugging_face(reader);
  reader.finish();
  parameters(result);  // refuses options that contradict each other
  return result;
}

PublishedConfig to_published(PublishedFormat format, const Config& config) {
  check_publishable(format, config);
  return format == PublishedFormat::kStateSpaces ? to_state_spaces(config)
                                                 : to_hugging_face(config);
}

std::vector<PublishedTensor> published_tensors(PublishedFormat format, const Config& config) {
  std::vector<PublishedTensor> tensors;
  for (const Parameter& parameter : parameters(config)) {
    if (is_standardisation(parameter.name)) continue;
    tensors.push_back({parameter.name, theirs_of(format, parameter.name), parameter.shape});
  }
  return tensors;
}

Weights from_published(PublishedFormat format, const Config& config, const Weights& file,
                       std::string_view where) {
  const std::vector<PublishedTensor> tensors = published_tensors(format, config);
  const bool tied = config.options.flag("model.tie");
  Weights result;
  for (const PublishedTensor& tensor : tensors) {
    file.get(tensor.theirs, tensor.shape);
    result.put(tensor.ours, file.all().at(tensor.theirs).clone());
  }
  if (tied) check_tied_head(file, tensors.front(), where);
  for (const auto& [name, tensor] : file.all()) {
    const bool known = (tied && name == kHead) ||
                       std::ranges::find(tensors, name, &PublishedTensor::theirs) != tensors.end();
    if (known) continue;
    throw DataError({.where = std::string(where),
                     .what = "tensor " + name + " belongs to no layer of the model",
                     .got = {},
                     .fix = "check that config.json and the tensors belong together"});
  }
  for (const char* name : {"decoder.shift", "decoder.scale"}) {
    Tensor tensor(DType::kFloat32, {config.interface.output_size});
    const float value = std::string_view(name) == "decoder.scale" ? 1 : 0;
    std::ranges::fill(tensor.elements<float>(), value);
    result.put(name, std::move(tensor));
  }
  return result;
}

Weights to_published(PublishedFormat format, const Config& config, const Weights& weights) {
  const Shape row = {config.interface.output_size};
  const auto all = [](std::span<const float> values, float only) {
    return std::ranges::all_of(values, [only](float value) { return value == only; });
  };
  if (!all(weights.get("decoder.shift", row), 0) || !all(weights.get("decoder.scale", row), 1)) {
    throw DataError({.where = "decoder.shift, decoder.scale",
                     .what = "published forms have no standardisation of outputs",
                     .got = {},
                     .fix = "set them to 0 and 1"});
  }
  Weights result;
  for (const PublishedTensor& tensor : published_tensors(format, config)) {
    weights.get(tensor.ours, tensor.shape);
    result.put(tensor.theirs, weights.all().at(tensor.ours).clone());
  }
  if (format == PublishedFormat::kStateSpaces && config.options.flag("model.tie")) {
    result.put(kHead, result.all().at(embedding_name(format)).clone());
  }
  return result;
}

}  // namespace longwave::models
