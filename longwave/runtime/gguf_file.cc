// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/gguf.h"
#include "longwave/models/published.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/gguf_exact.h"
#include "longwave/runtime/gguf_metadata.h"
#include "longwave/text/gguf_vocabulary.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;

/// Whether a tensor of a GGUF file is a matrix of weights, which may be of any type.
bool is_matrix(const std::string& name, const Shape& shape) {
  return shape.size() >= 2 && name.ends_with(".weight") &&
         name.find("ssm_conv1d") == std::string::npos && name.find("norm") == std::string::npos &&
         name.find("ffn_gate_inp") == std::string::npos;
}

Tensor read_tensor(const io::Gguf& file, const io::GgufEntry& entry) {
  const auto dtype = io::dtype_of(*entry.type);
  if (!dtype) {
    throw DataError({.where = file.path().string(),
                     .what = "tensor " + entry.name + " has a type that is not supported",
                     .got = std::string(entry.type->name),
                     .fix = "write the file again as F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K"});
  }
  Tensor tensor(*dtype, entry.shape);
  const auto data = file.data(entry);
  if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
  ops::require_finite(entry.name, tensor, file.path().string());
  if (*dtype == DType::kFloat32 || is_matrix(entry.name, entry.shape)) return tensor;
  return ops::dequantize(tensor);
}

bool fits(DType dtype, const Shape& shape) { return shape.back() % block_of(dtype).elements == 0; }

DType type_of(const models::PublishedTensor& tensor, DType wanted) {
  if (!is_matrix(tensor.theirs, tensor.shape)) return DType::kFloat32;
  for (const DType dtype : {wanted, DType::kQ8_0}) {
    if (fits(dtype, tensor.shape)) return dtype;
  }
  return DType::kFloat16;
}

Tensor converted(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor.clone();
  Tensor plain = tensor.dtype() == DType::kFloat32 ? tensor.clone() : ops::dequantize(tensor);
  return dtype == DType::kFloat32 ? std::move(plain) : ops::quantize(plain, dtype);
}

/// What most tensors are, by llama.cpp's numbers.
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

/// Tensors that become one of ours must be of one type; llama.cpp often gives values of attention
/// more bits than keys.
void make_alike(const models::Config& config, Weights& tensors) {
  std::map<std::string, std::vector<std::string>> parts;
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, config)) {
    if (tensors.has(tensor.theirs)) parts[tensor.ours].push_back(tensor.theirs);
  }
  for (const auto& [ours, names] : parts) {
    const DType first = tensors.all().at(names.front()).dtype();
    const bool alike = std::ranges::all_of(
        names, [&](const std::string& name) { return tensors.all().at(name).dtype() == first; });
    if (alike) continue;
    for (const std::string& name : names) {
      const Tensor& tensor = tensors.all().at(name);
      const DType dtype = fits(DType::kQ8_0, tensor.shape()) ? DType::kQ8_0 : DType::kFloat32;
      tensors.put(name, converted(tensor, dtype));
    }
  }
}

/// Keeps what the form of float32 numbers loses.
void keep_exact_form(const ModelFolder& model, const Weights& theirs, const std::string& where,
                     io::GgufMetadata& metadata) {
  bool scaled = false;
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, model.config)) {
    if (tensor.rounded) keep_exact(tensor, model.weights, metadata);
    scaled = scaled || tensor.scaled;
  }
  if (!scaled) return;
  const Weights back = models::from_published(PublishedFormat::kGguf, model.config, theirs, where);
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, model.config)) {
    if (!tensor.rounded) keep_steps(tensor.ours, model.weights, back, metadata);
  }
}

}  // namespace

bool is_gguf_file(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == ".gguf" && fs::is_regular_file(path, ignored);
}

ModelFolder load_gguf_model(const fs::path& path) {
  const io::Gguf file(path);
  const std::string where = path.string();
  models::Config config =
      models::from_published(PublishedFormat::kGguf, description_of(file), where);
  Weights tensors;
  for (const io::GgufEntry& entry : file.entries()) {
    tensors.put(entry.name, read_tensor(file, entry));
  }
  make_alike(config, tensors);
  Weights weights = models::from_published(PublishedFormat::kGguf, config, tensors, where);
  bool scaled = false;
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, config)) {
    if (tensor.rounded) restore_exact(file.metadata(), tensor, tensors, weights);
    scaled = scaled || tensor.scaled;
  }
  if (scaled) restore_steps(file.metadata(), weights);
  return {std::move(config), std::move(weights)};
}

std::shared_ptr<const text::Tokenizer> load_gguf_tokenizer(const fs::path& path) {
  const io::Gguf file(path);
  auto tokenizer = text::tokenizer_of_gguf(file.metadata(), path.string());
  if (!tokenizer) return nullptr;
  return std::make_shared<const text::Tokenizer>(std::move(*tokenizer));
}

std::optional<text::ChatTemplate> load_gguf_chat_template(const fs::path& path) {
  const io::Gguf file(path);
  const std::string* source = io::gguf_text(file.metadata(), "tokenizer.chat_template");
  if (source == nullptr) return std::nullopt;
  const auto* tokens = io::gguf_items<std::string>(file.metadata(), "tokenizer.ggml.tokens");
  const auto token = [&](std::string_view key) -> std::string {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end() || tokens == nullptr) return {};
    const auto* id = std::get_if<uint64_t>(&found->second.content);
    return id == nullptr || *id >= tokens->size() ? std::string() : (*tokens)[*id];
  };
  return text::ChatTemplate::parse(*source, path.string() + ": tokenizer.chat_template",
                                   token("tokenizer.ggml.bos_token_id"),
                                   token("tokenizer.ggml.eos_token_id"));
}

void save_gguf_model(const fs::path& path, const ModelFolder& model, const Companions& companions,
                     std::optional<DType> type) {
  const models::PublishedConfig config = models::to_published(PublishedFormat::kGguf, model.config);
  io::GgufMetadata metadata = metadata_of(config);
  add_companions(companions, metadata);
  if (companions.tokenizer != nullptr) {
    text::add_vocabulary(*companions.tokenizer, model.config.interface.input_size, metadata);
  } else {
    metadata.insert_or_assign("tokenizer.ggml.model", io::GgufValue::text("no_vocab"));
  }
  const Weights weights = models::to_published(PublishedFormat::kGguf, model.config, model.weights);
  std::vector<Tensor> stored;
  std::vector<io::GgufTensor> tensors;
  DType most = DType::kFloat32;
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, model.config)) {
    const Tensor& source = weights.all().at(tensor.theirs);
    const DType wanted = type.value_or(source.dtype());
    if (wanted != DType::kFloat32) most = wanted;
    stored.push_back(converted(source, type_of(tensor, wanted)));
    tensors.push_back({tensor.theirs,
                       io::gguf_type(stored.back().dtype()),
                       tensor.shape,
                       {stored.back().raw(), stored.back().bytes()}});
  }
  // Where matrices are rounded, one rounding more is nothing.
  if (most == DType::kFloat32) {
    keep_exact_form(model, weights, path.string(), metadata);
  } else {
    forget_multipliers(metadata);
  }
  metadata.insert_or_assign("general.file_type", io::GgufValue::uint32(file_type(most)));
  if (is_blocked(most)) {
    metadata.insert_or_assign("general.quantization_version", io::GgufValue::uint32(2));
  }
  io::save_gguf(path, metadata, tensors);
}

}  // namespace longwave::runtime
