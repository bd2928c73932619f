// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/gguf_types.h"

namespace longwave::io {
namespace {

[[noreturn]] void refuse(std::string what, std::string got = {}) {
  throw InvalidArgument(
      {.where = "save_gguf", .what = std::move(what), .got = std::move(got), .fix = {}});
}

/// Collects the bytes of a header.
class HeaderWriter {
 public:
  template <typename T>
  void number(T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  void text(std::string_view value) {
    number(uint64_t{value.size()});
    const auto bytes = std::as_bytes(std::span(value));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  void kind(GgufKind kind) { number(static_cast<uint32_t>(kind)); }

  void item(GgufKind kind, uint64_t value) {
    switch (kind) {
      case GgufKind::kUint8:
        return narrowed<uint8_t>(value);
      case GgufKind::kUint16:
        return narrowed<uint16_t>(value);
      case GgufKind::kUint32:
        return narrowed<uint32_t>(value);
      case GgufKind::kUint64:
        return number(value);
      default:
        refuse("a value has another kind than its content", "an unsigned number");
    }
  }

  void item(GgufKind kind, int64_t value) {
    switch (kind) {
      case GgufKind::kInt8:
        return narrowed<int8_t>(value);
      case GgufKind::kInt16:
        return narrowed<int16_t>(value);
      case GgufKind::kInt32:
        return narrowed<int32_t>(value);
      case GgufKind::kInt64:
        return number(value);
      default:
        refuse("a value has another kind than its content", "a signed number");
    }
  }

  void item(GgufKind kind, double value) {
    if (kind == GgufKind::kFloat32) return number(static_cast<float>(value));
    if (kind != GgufKind::kFloat64) {
      refuse("a value has another kind than its content", "a real number");
    }
    number(value);
  }

  void item(GgufKind kind, bool value) {
    if (kind != GgufKind::kFlag) refuse("a value has another kind than its content", "a flag");
    number(static_cast<uint8_t>(value ? 1 : 0));
  }

  void item(GgufKind kind, const std::string& value) {
    if (kind != GgufKind::kText) refuse("a value has another kind than its content", "a text");
    text(value);
  }

  void item(GgufKind is, const GgufArray& array) {
    if (is != GgufKind::kArray) refuse("a value has another kind than its content", "an array");
    kind(array.kind);
    std::visit(
        [&](const auto& items) {
          using Item = typename std::decay_t<decltype(items)>::value_type;
          number(uint64_t{items.size()});
          for (const Item& value : items) item(array.kind, value);
        },
        array.items);
  }

  void pad() { bytes_.resize(aligned(bytes_.size(), kGgufAlignment)); }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  template <typename T, typename Wide>
  void narrowed(Wide value) {
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max()) {
      refuse("a number does not fit into its kind", std::to_string(value));
    }
    number(static_cast<T>(value));
  }

  std::vector<std::byte> bytes_;
};

void check(const GgufTensor& tensor) {
  const auto bytes = tensor.type == nullptr || tensor.shape.size() > kGgufMostExtents
                         ? std::nullopt
                         : gguf_bytes(*tensor.type, tensor.shape);
  if (bytes && *bytes == tensor.data.size()) return;
  refuse("type, shape and bytes of tensor \"" + tensor.name + "\" disagree",
         to_string(tensor.shape) + " in " + std::to_string(tensor.data.size()) + " bytes");
}

std::vector<std::byte> format_header(const GgufMetadata& metadata,
                                     std::span<const GgufTensor> tensors) {
  if (metadata.contains(kGgufAlignmentKey)) refuse("files are always aligned to 32 bytes");
  HeaderWriter writer;
  writer.number(kGgufMagic);
  writer.number(uint32_t{3});
  writer.number(uint64_t{tensors.size()});
  writer.number(uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    writer.text(key);
    writer.kind(value.kind);
    std::visit([&, is = value.kind](const auto& content) { writer.item(is, content); },
               value.content);
  }
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    check(tensor);
    if (!names.insert(tensor.name).second) refuse("duplicate tensor \"" + tensor.name + "\"");
    writer.text(tensor.name);
    writer.number(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      writer.number(static_cast<uint64_t>(tensor.shape[i]));
    }
    writer.number(tensor.type->id);
    writer.number(offset);
    offset = aligned(offset + tensor.data.size(), kGgufAlignment);
  }
  writer.pad();
  return writer.take();
}

/// Hands header, data and padding to `write` piece by piece.
template <typename Write>
void emit(const GgufMetadata& metadata, std::span<const GgufTensor> tensors, const Write& write) {
  static constexpr std::byte kZeros[kGgufAlignment] = {};
  const std::vector<std::byte> header = format_header(metadata, tensors);
  write(std::span<const std::byte>(header));
  for (const GgufTensor& tensor : tensors) {
    write(tensor.data);
    const uint64_t bytes = tensor.data.size();
    write(std::span(kZeros).first(aligned(bytes, kGgufAlignment) - bytes));
  }
}

}  // namespace

void save_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               std::span<const GgufTensor> tensors) {
  AtomicFile file(path);
  emit(metadata, tensors, [&](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

std::vector<std::byte> format_gguf(const GgufMetadata& metadata,
                                   std::span<const GgufTensor> tensors) {
  std::vector<std::byte> result;
  emit(metadata, tensors, [&](std::span<const std::byte> bytes) {
    result.insert(result.end(), bytes.begin(), bytes.end());
  });
  return result;
}

}  // namespace longwave::io
