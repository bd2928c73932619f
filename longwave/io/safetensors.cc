// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/safetensors.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::io {
namespace {

Tensor copied(std::span<const std::byte> data, const Shape& shape, DType dtype) {
  Tensor tensor(dtype, shape);
  if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
  return tensor;
}

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

}  // namespace

Metadata each_safetensors(std::span<const std::byte> file, std::string_view where,
                          const SafetensorsOptions& options, const TakeTensor& take) {
  SafetensorsHeader header = parse_safetensors_header(file, where, options);
  for (const SafetensorsEntry& entry : header.entries) {
    const auto data = file.subspan(header.data_begin + entry.begin, entry.end - entry.begin);
    const auto blocks = header.metadata.find(blocks_key(entry.name));
    Tensor tensor = blocks == header.metadata.end()
                        ? read_tensor(entry, data, where, options)
                        : read_blocks(entry, blocks->second, data, where);
    if (options.not_finite == SafetensorsOptions::NotFinite::kReject) {
      require_finite(entry.name, tensor, where);
    }
    take(entry.name, std::move(tensor));
  }
  return std::move(header.metadata);
}

void each_safetensors(const std::filesystem::path& path, const SafetensorsOptions& options,
                      const TakeTensor& take) {
  const MappedFile file(path);
  each_safetensors(file.bytes(), path.string(), options,
                   [&](const std::string& name, Tensor tensor) {
                     file.forget();
                     take(name, std::move(tensor));
                   });
}

Safetensors parse_safetensors(std::span<const std::byte> file, std::string_view where,
                              const SafetensorsOptions& options) {
  Safetensors result;
  result.metadata = each_safetensors(file, where, options, put_into(result.weights));
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

}  // namespace longwave::io
