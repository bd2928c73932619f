// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/safetensors.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"

namespace longwave::io {
namespace {

constexpr const char* kMetadataName = "__metadata__";

Tensor copied(std::span<const std::byte> data, const Shape& shape, DType dtype) {
  Tensor tensor(dtype, shape);
  if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
  return tensor;
}

/// Metadata key that says what the bytes of a tensor are.
std::string blocks_key(const std::string& name) { return "blocks." + name; }

/// The numbers that rows of bytes stand for.
Tensor read_blocks(const SafetensorsEntry& entry, const std::string& type,
                   std::span<const std::byte> data, std::string_view where) {
  const std::optional<DType> dtype = dtype_named(type);
  const BlockShape block = dtype ? block_of(*dtype) : BlockShape{1, 1};
  const auto bytes = static_cast<int64_t>(block.bytes);
  if (!dtype || !is_blocked(*dtype) || entry.dtype != "U8" || entry.shape.empty() ||
      entry.shape.back() % bytes != 0) {
    throw DataError({.where = std::string(where),
                     .what = "tensor \"" + entry.name + "\" is not the blocks that it says it is",
                     .got = entry.dtype + " of shape " + to_string(entry.shape) + ", " + type,
                     .fix = "quantise the model again"});
  }
  Shape shape = entry.shape;
  shape.back() = shape.back() / bytes * block.elements;
  return copied(data, shape, *dtype);
}

Tensor read_tensor(const SafetensorsEntry& entry, std::span<const std::byte> data,
                   std::string_view where, const SafetensorsOptions& options) {
  if (options.half == SafetensorsOptions::Half::kKeep) {
    if (entry.dtype == "BF16") return copied(data, entry.shape, DType::kBFloat16);
    if (entry.dtype == "F16") return copied(data, entry.shape, DType::kFloat16);
  }
  auto tensor = tensor_of(entry.dtype, data, entry.shape, options.float64);
  if (tensor) return std::move(*tensor);
  throw DataError(
      {.where = std::string(where),
       .what = "tensor \"" + entry.name + "\" has an element type that is not supported",
       .got = entry.dtype,
       .fix = "convert it to F32, F16, BF16, F64, I64, I32 or U8"});
}

/// The type of tensors that can be used as they lie in a file.
std::optional<DType> mappable(const std::string& dtype) {
  if (dtype == "F32") return DType::kFloat32;
  if (dtype == "F16") return DType::kFloat16;
  if (dtype == "BF16") return DType::kBFloat16;
  return std::nullopt;
}

[[noreturn]] void refuse(std::string what, std::string got = {}) {
  throw InvalidArgument(
      {.where = "save_safetensors", .what = std::move(what), .got = std::move(got), .fix = {}});
}

const char* dtype_text(const std::string& name, DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "F32";
    case DType::kFloat64:
      return "F64";
    case DType::kInt64:
      return "I64";
    case DType::kInt32:
      return "I32";
    case DType::kFloat16:
      return "F16";
    case DType::kBFloat16:
      return "BF16";
    case DType::kUint8:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_K:
    case DType::kQ6_K:
      return "U8";
    default:
      refuse("complex tensors are stored as pairs (re, im) in a last extent of 2",
             std::string(name_of(dtype)) + " for \"" + name + "\"");
  }
}

/// The shape that the format sees: blocks are bytes.
Shape stored_shape(const Tensor& tensor) {
  Shape shape = tensor.shape();
  if (is_blocked(tensor.dtype())) {
    shape.back() = static_cast<int64_t>(bytes_of(tensor.dtype(), shape.back()));
  }
  return shape;
}

/// The metadata, and what the bytes of blocked tensors are.
Metadata with_blocks(const Weights& weights, Metadata metadata) {
  for (const auto& [name, tensor] : weights.all()) {
    if (is_blocked(tensor.dtype())) metadata[blocks_key(name)] = name_of(tensor.dtype());
  }
  return metadata;
}

/// The eight length bytes and the JSON, padded with spaces so that the data start aligned.
std::string format_header(const Weights& weights, const Metadata& given) {
  const Metadata metadata = with_blocks(weights, given);
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[kMetadataName] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : weights.all()) {
    if (name == kMetadataName) refuse("no tensor may be called " + name);
    const uint64_t end = offset + tensor.bytes();
    json[name] = {{"dtype", dtype_text(name, tensor.dtype())},
                  {"shape", stored_shape(tensor)},
                  {"data_offsets", {offset, end}}};
    offset = end;
  }
  constexpr size_t kAlignment = 64;
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::type_error& error) {
    refuse("names and metadata must be UTF-8", error.what());
  }
  text.append((kAlignment - (sizeof(uint64_t) + text.size()) % kAlignment) % kAlignment, ' ');
  const uint64_t length = text.size();
  std::string header(sizeof length, '\0');
  std::memcpy(header.data(), &length, sizeof length);
  return header + text;
}

}  // namespace

Safetensors parse_safetensors(std::span<const std::byte> file, std::string_view where,
                              const SafetensorsOptions& options) {
  SafetensorsHeader header = parse_safetensors_header(file, where, options);
  Safetensors result;
  result.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    const auto data = file.subspan(header.data_begin + entry.begin, entry.end - entry.begin);
    const auto blocks = result.metadata.find(blocks_key(entry.name));
    Tensor tensor = blocks == result.metadata.end()
                        ? read_tensor(entry, data, where, options)
                        : read_blocks(entry, blocks->second, data, where);
    if (options.not_finite == SafetensorsOptions::NotFinite::kReject) {
      require_finite(entry.name, tensor, where);
    }
    result.weights.put(entry.name, std::move(tensor));
  }
  return result;
}

Safetensors load_safetensors(const std::filesystem::path& path, const SafetensorsOptions& options) {
  const MappedFile file(path);
  return parse_safetensors(file.bytes(), path.string(), options);
}

MappedSafetensors::MappedSafetensors(const std::filesystem::path& path) : file_(path) {
  const SafetensorsHeader header = parse_safetensors_header(file_.bytes(), path.string());
  for (const SafetensorsEntry& entry : header.entries) {
    const auto data =
        file_.bytes().subspan(header.data_begin + entry.begin, entry.end - entry.begin);
    const std::optional<DType> dtype = mappable(entry.dtype);
    const bool aligned =
        dtype && reinterpret_cast<uintptr_t>(data.data()) % bytes_of(*dtype, 1) == 0;
    if (aligned) {
      tensors_.emplace(entry.name, StoredTensor{*dtype, entry.shape, data});
      continue;
    }
    copies_.put(entry.name,
                read_tensor(entry, data, path.string(), {.half = SafetensorsOptions::Half::kKeep}));
    tensors_.emplace(entry.name, stored(copies_.all().at(entry.name)));
  }
}

void save_safetensors(const std::filesystem::path& path, const Weights& weights,
                      const Metadata& metadata) {
  const std::string header = format_header(weights, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const auto& [name, tensor] : weights.all()) file.write({tensor.raw(), tensor.bytes()});
  file.commit();
}

std::vector<std::byte> format_safetensors(const Weights& weights, const Metadata& metadata) {
  const auto header = format_header(weights, metadata);
  const auto bytes = std::as_bytes(std::span(header));
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  for (const auto& [name, tensor] : weights.all()) {
    file.insert(file.end(), tensor.raw(), tensor.raw() + tensor.bytes());
  }
  return file;
}

}  // namespace longwave::io
