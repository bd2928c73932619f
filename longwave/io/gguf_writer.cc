// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/gguf_writer.h"

#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "longwave/base/error.h"
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

uint64_t bytes_of_item(const GgufItem& item) {
  const auto bytes = item.type == nullptr || item.shape.size() > kGgufMostExtents
                         ? std::nullopt
                         : gguf_bytes(*item.type, item.shape);
  if (bytes) return *bytes;
  refuse("type and shape of tensor \"" + item.name + "\" disagree", to_string(item.shape));
}

struct Header {
  std::vector<std::byte> bytes;
  std::vector<uint64_t> begins;  // of the tensors, after these bytes
};

Header format_header(const GgufMetadata& metadata, std::span<const GgufItem> items) {
  if (metadata.contains(kGgufAlignmentKey)) refuse("files are always aligned to 32 bytes");
  HeaderWriter writer;
  writer.number(kGgufMagic);
  writer.number(uint32_t{3});
  writer.number(uint64_t{items.size()});
  writer.number(uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    writer.text(key);
    writer.kind(value.kind);
    std::visit([&, is = value.kind](const auto& content) { writer.item(is, content); },
               value.content);
  }
  std::set<std::string_view> names;
  Header header;
  uint64_t offset = 0;
  for (const GgufItem& item : items) {
    const uint64_t bytes = bytes_of_item(item);
    if (!names.insert(item.name).second) refuse("duplicate tensor \"" + item.name + "\"");
    writer.text(item.name);
    writer.number(static_cast<uint32_t>(item.shape.size()));
    for (size_t i = item.shape.size(); i-- > 0;) {
      writer.number(static_cast<uint64_t>(item.shape[i]));
    }
    writer.number(item.type->id);
    writer.number(offset);
    header.begins.push_back(offset);
    offset = aligned(offset + bytes, kGgufAlignment);
  }
  writer.pad();
  header.bytes = writer.take();
  return header;
}

/// What follows the bytes of a tensor.
std::span<const std::byte> padding_after(uint64_t bytes) {
  static constexpr std::byte kZeros[kGgufAlignment] = {};
  return std::span(kZeros).first(aligned(bytes, kGgufAlignment) - bytes);
}

void check_bytes(const std::string& name, size_t got, uint64_t expected) {
  if (got == expected) return;
  refuse("tensor \"" + name + "\" has other bytes than type and shape need",
         std::to_string(got) + " bytes, " + std::to_string(expected) + " needed");
}

std::vector<GgufItem> items_of(std::span<const GgufTensor> tensors) {
  std::vector<GgufItem> items;
  for (const GgufTensor& tensor : tensors) {
    items.push_back(tensor);
    check_bytes(tensor.name, tensor.data.size(), bytes_of_item(items.back()));
  }
  return items;
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
                       std::span<const GgufItem> items)
    : file_(path) {
  const Header header = format_header(metadata, items);
  file_.write(header.bytes);
  for (size_t i = 0; i < items.size(); ++i) {
    open_.emplace(items[i].name,
                  Place{header.bytes.size() + header.begins[i], bytes_of_item(items[i])});
  }
}

void GgufWriter::write(const std::string& name, std::span<const std::byte> data) {
  const auto found = open_.find(name);
  if (found == open_.end()) refuse("tensor \"" + name + "\" was not announced, or came twice");
  check_bytes(name, data.size(), found->second.bytes);
  file_.seek(found->second.begin);
  file_.write(data);
  file_.write(padding_after(data.size()));
  open_.erase(found);
}

void GgufWriter::commit() {
  if (!open_.empty()) refuse("tensor \"" + open_.begin()->first + "\" did not come");
  file_.commit();
}

void save_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               std::span<const GgufTensor> tensors) {
  GgufWriter writer(path, metadata, items_of(tensors));
  for (const GgufTensor& tensor : tensors) writer.write(tensor.name, tensor.data);
  writer.commit();
}

std::vector<std::byte> format_gguf(const GgufMetadata& metadata,
                                   std::span<const GgufTensor> tensors) {
  std::vector<std::byte> result = format_header(metadata, items_of(tensors)).bytes;
  for (const GgufTensor& tensor : tensors) {
    for (const auto bytes : {tensor.data, padding_after(tensor.data.size())}) {
      result.insert(result.end(), bytes.begin(), bytes.end());
    }
  }
  return result;
}

}  // namespace longwave::io
