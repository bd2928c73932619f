// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/safetensors_writer.h"

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::io {
namespace {

constexpr const char* kMetadataName = "__metadata__";

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
Shape stored_shape(const SafetensorsItem& item) {
  Shape shape = item.shape;
  if (is_blocked(item.dtype)) {
    shape.back() = static_cast<int64_t>(bytes_of(item.dtype, shape.back()));
  }
  return shape;
}

uint64_t bytes_of_item(const SafetensorsItem& item) {
  return bytes_of(item.dtype, element_count(item.shape));
}

/// The metadata, and what the bytes of blocked tensors are.
Metadata with_blocks(const SafetensorsItems& items, Metadata metadata) {
  for (const auto& [name, item] : items) {
    if (is_blocked(item.dtype)) metadata[blocks_key(name)] = name_of(item.dtype);
  }
  return metadata;
}

/// The eight length bytes and the JSON, padded with spaces so that the data start aligned.
std::string format_header(const SafetensorsItems& items, const Metadata& given) {
  const Metadata metadata = with_blocks(items, given);
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[kMetadataName] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, item] : items) {
    if (name == kMetadataName) refuse("no tensor may be called " + name);
    const uint64_t end = offset + bytes_of_item(item);
    json[name] = {{"dtype", dtype_text(name, item.dtype)},
                  {"shape", stored_shape(item)},
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

SafetensorsItems items_of(const Weights& weights) {
  SafetensorsItems items;
  for (const auto& [name, tensor] : weights.all()) {
    items.emplace(name, SafetensorsItem{tensor.dtype(), tensor.shape()});
  }
  return items;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const SafetensorsItems& items, const Metadata& metadata)
    : file_(path) {
  const std::string header = format_header(items, metadata);
  file_.write(header);
  uint64_t begin = header.size();
  for (const auto& [name, item] : items) {
    open_.emplace(name, Place{item, begin});
    begin += bytes_of_item(item);
  }
}

void SafetensorsWriter::write(const std::string& name, const Tensor& tensor) {
  const auto found = open_.find(name);
  if (found == open_.end()) refuse("tensor " + name + " was not announced, or came twice");
  const auto& [item, begin] = found->second;
  if (tensor.dtype() != item.dtype || tensor.shape() != item.shape) {
    refuse("tensor " + name + " is not what was announced", to_string(tensor.shape()));
  }
  file_.seek(begin);
  file_.write({tensor.raw(), tensor.bytes()});
  open_.erase(found);
}

void SafetensorsWriter::commit() {
  if (!open_.empty()) refuse("tensor " + open_.begin()->first + " did not come");
  file_.commit();
}

void save_safetensors(const std::filesystem::path& path, const Weights& weights,
                      const Metadata& metadata) {
  SafetensorsWriter writer(path, items_of(weights), metadata);
  for (const auto& [name, tensor] : weights.all()) writer.write(name, tensor);
  writer.commit();
}

std::vector<std::byte> format_safetensors(const Weights& weights, const Metadata& metadata) {
  const auto header = format_header(items_of(weights), metadata);
  const auto bytes = std::as_bytes(std::span(header));
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  for (const auto& [name, tensor] : weights.all()) {
    file.insert(file.end(), tensor.raw(), tensor.raw() + tensor.bytes());
  }
  return file;
}

}  // namespace longwave::io
