// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/gguf.h"
#include "longwave/models/published.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/gguf_exact.h"
#include "longwave/text/gguf_vocabulary.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;

constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kVocabulary = "vocab_size";
constexpr const char* kTied = "tie_word_embeddings";
constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kHead = "output.weight";
constexpr std::string_view kLayer = "blk.", kRouter = ".ffn_gate_inp.weight";
constexpr std::string_view kExperts = "has_experts.";
/// Arrays of more numbers are none that describe layers.
constexpr size_t kMostLayers = 10000;

/// The shortest number that is this float32: what was meant by 1e-5.
double as_meant(double value) { return std::stod(fmt::format("{}", static_cast<float>(value))); }

std::optional<Value> single(io::GgufKind, uint64_t number) {
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return Value(static_cast<int64_t>(number));
}
std::optional<Value> single(io::GgufKind, int64_t number) { return Value(number); }
std::optional<Value> single(io::GgufKind kind, double number) {
  return Value(kind == io::GgufKind::kFloat32 ? as_meant(number) : number);
}
std::optional<Value> single(io::GgufKind, bool flag) { return Value(flag); }
std::optional<Value> single(io::GgufKind, const std::string& text) { return Value(text); }

/// Adds a value, or one a layer as "key.0", "key.1", ...; what is neither is passed over.
void add(const std::string& key, const io::GgufValue& value, models::PublishedConfig& config) {
  if (const auto* array = std::get_if<io::GgufArray>(&value.content)) {
    std::visit(
        [&](const auto& items) {
          using Item = typename std::decay_t<decltype(items)>::value_type;
          if constexpr (!std::is_same_v<Item, io::GgufArray>) {
            if (items.size() > kMostLayers) return;
            for (size_t i = 0; i < items.size(); ++i) {
              const auto item = single(array->kind, static_cast<Item>(items[i]));
              if (item) config[key + "." + std::to_string(i)] = *item;
            }
          }
        },
        array->items);
    return;
  }
  std::visit(
      [&](const auto& content) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(content)>, io::GgufArray>) {
          if (const auto only = single(value.kind, content)) config[key] = *only;
        }
      },
      value.content);
}

/// The keys of the file's architecture, and what the tensors say of vocabulary and head.
models::PublishedConfig description(const io::Gguf& file) {
  const std::string where = file.path().string();
  const std::string* architecture = io::gguf_text(file.metadata(), kArchitecture);
  if (architecture == nullptr) {
    throw DataError({.where = where,
                     .what = std::string(kArchitecture) + " is missing",
                     .got = {},
                     .fix = "this file holds no language model"});
  }
  models::PublishedConfig config = {{kArchitecture, *architecture}, {kTied, true}};
  const std::string prefix = *architecture + ".";
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(prefix)) add(key.substr(prefix.size()), value, config);
  }
  for (const io::GgufEntry& entry : file.entries()) {
    if (entry.name == kEmbedding && entry.shape.size() == 2) config[kVocabulary] = entry.shape[0];
    if (entry.name == kHead) config[kTied] = false;
    if (entry.name.starts_with(kLayer) && entry.name.ends_with(kRouter)) {
      const size_t digits = entry.name.size() - kLayer.size() - kRouter.size();
      config[std::string(kExperts) + entry.name.substr(kLayer.size(), digits)] = true;
    }
  }
  return config;
}

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

io::GgufValue metadata_value(const std::string& key, const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    if (*number >= 0 && *number <= std::numeric_limits<uint32_t>::max()) {
      return io::GgufValue::uint32(static_cast<uint32_t>(*number));
    }
    throw ConfigError({.where = key,
                       .what = "the gguf form cannot say this",
                       .got = std::to_string(*number),
                       .fix = "it needs a number of 32 bits"});
  }
  if (const auto* real = std::get_if<double>(&value)) {
    return io::GgufValue::float32(static_cast<float>(*real));
  }
  if (const auto* flag = std::get_if<bool>(&value)) return io::GgufValue::flag(*flag);
  return io::GgufValue::text(std::get<std::string>(value));
}

/// "key.0", "key.1", ... as one array of int32.
void add_layers(const std::string& key, const std::string& place, const Value& value,
                io::GgufMetadata& metadata) {
  auto& entry =
      metadata.try_emplace(place + key.substr(0, key.rfind('.')), io::GgufValue::int32s({}))
          .first->second;
  auto& items = std::get<std::vector<int64_t>>(std::get<io::GgufArray>(entry.content).items);
  const auto index = static_cast<size_t>(std::stoul(key.substr(key.rfind('.') + 1)));
  if (items.size() <= index) items.resize(index + 1);
  items[index] = std::get<int64_t>(value);
}

io::GgufMetadata metadata_of(const models::PublishedConfig& config) {
  io::GgufMetadata metadata;
  const std::string& architecture = std::get<std::string>(config.at(kArchitecture));
  for (const auto& [key, value] : config) {
    if (key == kTied || key.starts_with(kExperts)) continue;
    const std::string place = key.starts_with("general.") ? "" : architecture + ".";
    const std::string last = key.substr(key.rfind('.') + 1);
    if (std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; })) {
      add_layers(key, place, value, metadata);
    } else {
      metadata.insert_or_assign(place + key, metadata_value(key, value));
    }
  }
  return metadata;
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

}  // namespace

bool is_gguf_file(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == ".gguf" && fs::is_regular_file(path, ignored);
}

ModelFolder load_gguf_model(const fs::path& path) {
  const io::Gguf file(path);
  const std::string where = path.string();
  models::Config config = models::from_published(PublishedFormat::kGguf, description(file), where);
  Weights tensors;
  for (const io::GgufEntry& entry : file.entries()) {
    tensors.put(entry.name, read_tensor(file, entry));
  }
  make_alike(config, tensors);
  Weights weights = models::from_published(PublishedFormat::kGguf, config, tensors, where);
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, config)) {
    if (tensor.rounded) restore_exact(file.metadata(), tensor, tensors, weights);
  }
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

void save_gguf_model(const fs::path& path, const ModelFolder& model,
                     const text::Tokenizer* tokenizer, std::optional<DType> type) {
  const models::PublishedConfig config = models::to_published(PublishedFormat::kGguf, model.config);
  io::GgufMetadata metadata = metadata_of(config);
  if (tokenizer != nullptr) {
    text::add_vocabulary(*tokenizer, model.config.interface.input_size, metadata);
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
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, model.config)) {
    // Where matrices are rounded, one rounding more is nothing.
    if (tensor.rounded && most == DType::kFloat32) keep_exact(tensor, model.weights, metadata);
  }
  metadata.insert_or_assign("general.file_type", io::GgufValue::uint32(file_type(most)));
  if (is_blocked(most)) {
    metadata.insert_or_assign("general.quantization_version", io::GgufValue::uint32(2));
  }
  io::save_gguf(path, metadata, tensors);
}

}  // namespace longwave::runtime
