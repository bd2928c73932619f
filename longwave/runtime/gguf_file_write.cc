// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "longwave/io/gguf_writer.h"
#include "longwave/models/published.h"
#include "longwave/runtime/gguf_exact.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/gguf_metadata.h"
#include "longwave/runtime/gguf_tensors.h"
#include "longwave/runtime/quantize_model.h"
#include "longwave/text/gguf_vocabulary.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;
using models::PublishedTensor;

DType type_of(const PublishedTensor& tensor, DType wanted) {
  if (!is_gguf_matrix(tensor.theirs, tensor.shape)) return DType::kFloat32;
  for (const DType dtype : {wanted, DType::kQ8_0}) {
    if (fits(dtype, tensor.shape)) return dtype;
  }
  return DType::kFloat16;
}

/// What most numbers are, by llama.cpp's numbers for types.
uint32_t file_type(DType dtype) {
  static constexpr std::array<std::pair<DType, uint32_t>, 7> kNumbers = {{{DType::kFloat32, 0},
                                                                          {DType::kFloat16, 1},
                                                                          {DType::kQ4_0, 2},
                                                                          {DType::kQ8_0, 7},
                                                                          {DType::kQ4_K, 14},
                                                                          {DType::kQ6_K, 18},
                                                                          {DType::kBFloat16, 32}}};
  const auto* found = std::ranges::find(kNumbers, dtype, &std::pair<DType, uint32_t>::first);
  return found == kNumbers.end() ? 0 : found->second;
}

/// What stands in the file before the first tensor, and so is known before one is written.
struct Plan {
  std::vector<io::GgufItem> items;
  std::map<std::string, DType> types;  ///< of the items by name
  DType most = DType::kFloat32;        ///< of the numbers that are not float32, if there are such
  io::GgufMetadata exact;              ///< what the form of float32 numbers loses
};

/// Reads the whole model once to see what types its tensors are of and what the form loses.
struct Survey {
  std::map<std::string, DType> types;  ///< by our names
  io::GgufMetadata exact;
};

Survey survey_of(const ModelSource& source, const std::vector<PublishedTensor>& tensors) {
  std::map<std::string, PublishedTensor> names;  // by ours; a tensor in parts is not rounded
  for (const PublishedTensor& tensor : tensors) names.emplace(tensor.ours, tensor);
  const models::ToPublished theirs(PublishedFormat::kGguf, source.config, {});
  Survey survey;
  source.each([&](const std::string& name, const Tensor& tensor) {
    survey.types.emplace(name, tensor.dtype());
    const auto found = names.find(name);
    if (found == names.end() || tensor.dtype() != DType::kFloat32) return;
    if (found->second.rounded) {
      keep_exact(found->second, tensor, survey.exact);
    } else if (const auto back = theirs.there_and_back(name, tensor)) {
      keep_steps(name, tensor, *back, survey.exact);
    }
  });
  return survey;
}

Plan plan_of(const ModelSource& source, std::optional<DType> type) {
  const auto tensors = models::published_tensors(PublishedFormat::kGguf, source.config);
  // Where matrices are rounded, one rounding more is nothing.
  const bool rounds = type && *type != DType::kFloat32;
  Survey survey = rounds ? Survey() : survey_of(source, tensors);
  Plan plan;
  std::map<DType, int64_t> narrow;  // how many numbers are of each type
  for (const PublishedTensor& tensor : tensors) {
    const auto found = survey.types.find(tensor.ours);
    const DType wanted =
        type.value_or(found == survey.types.end() ? DType::kFloat32 : found->second);
    if (wanted != DType::kFloat32) narrow[wanted] += element_count(tensor.shape);
    const DType dtype = type_of(tensor, wanted);
    plan.items.push_back({tensor.theirs, io::gguf_type(dtype), tensor.shape});
    plan.types.emplace(tensor.theirs, dtype);
  }
  const auto count = [](const auto& type) { return type.second; };
  if (narrow.empty()) {
    plan.exact = std::move(survey.exact);
  } else {
    plan.most = std::ranges::max_element(narrow, {}, count)->first;
  }
  return plan;
}

/// The metadata of a model and of what goes along with it.
io::GgufMetadata described(const models::Config& config, const Companions& companions) {
  io::GgufMetadata metadata = metadata_of(models::to_published(PublishedFormat::kGguf, config));
  add_companions(companions, metadata);
  if (companions.tokenizer != nullptr) {
    text::add_vocabulary(*companions.tokenizer, config.interface.input_size, metadata);
  } else {
    metadata.insert_or_assign("tokenizer.ggml.model", io::GgufValue::text("no_vocab"));
  }
  return metadata;
}

/// Adds what the plan says about the tensors.
void add_plan(Plan& plan, io::GgufMetadata& metadata) {
  for (auto& [key, value] : plan.exact) metadata.insert_or_assign(key, std::move(value));
  if (plan.most != DType::kFloat32) forget_multipliers(metadata);
  metadata.insert_or_assign("general.file_type", io::GgufValue::uint32(file_type(plan.most)));
  const auto in_blocks = [](const auto& type) { return is_blocked(type.second); };
  if (std::ranges::any_of(plan.types, in_blocks)) {
    metadata.insert_or_assign("general.quantization_version", io::GgufValue::uint32(2));
  }
}

}  // namespace

void save_gguf_model(const fs::path& path, const ModelSource& source, const Companions& companions,
                     std::optional<DType> type) {
  io::GgufMetadata metadata = described(source.config, companions);
  Plan plan = plan_of(source, type);
  add_plan(plan, metadata);
  io::GgufWriter writer(path, metadata, plan.items);
  models::ToPublished theirs(
      PublishedFormat::kGguf, source.config, [&](const std::string& name, Tensor tensor) {
        const Tensor stored = in_type(std::move(tensor), plan.types.at(name));
        writer.write(name, {stored.raw(), stored.bytes()});
      });
  source.each([&](const std::string& name, const Tensor& tensor) { theirs.add(name, tensor); });
  theirs.finish();
  writer.commit();
}

void save_gguf_model(const fs::path& path, const ModelFolder& model, const Companions& companions,
                     std::optional<DType> type) {
  const auto each = [&](const TakeTensor& take) {
    for (const auto& [name, tensor] : model.weights.all()) take(name, tensor.clone());
  };
  save_gguf_model(path, ModelSource{model.config, each}, companions, type);
}

}  // namespace longwave::runtime
