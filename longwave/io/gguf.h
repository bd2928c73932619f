// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longwave/base/dtype.h"
#include "longwave/base/tensor.h"
#include "longwave/io/file.h"

/// The container that llama.cpp and its relatives keep models in: metadata by key, then tensors,
/// some of them in blocks of few bits. What keys and names mean is said in models/families.
///
/// Source     ggml, docs/gguf.md (versions 2 and 3).
namespace longwave::io {

/// What a value of the metadata is; numbered as in the file.
enum class GgufKind : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kFlag,
  kText,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

/// Values of one kind; arrays may hold arrays.
struct GgufArray {
  GgufKind kind = GgufKind::kUint8;  ///< of the items
  std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>, std::vector<bool>,
               std::vector<std::string>, std::vector<GgufArray>>
      items;
  bool operator==(const GgufArray&) const = default;
};

/// One value of the metadata. Numbers are kept in the widest type of their sort.
struct GgufValue {
  GgufKind kind = GgufKind::kUint8;
  std::variant<uint64_t, int64_t, double, bool, std::string, GgufArray> content;

  static GgufValue uint32(uint32_t number) { return {GgufKind::kUint32, uint64_t{number}}; }
  static GgufValue float32(float number) { return {GgufKind::kFloat32, double{number}}; }
  static GgufValue float64(double number) { return {GgufKind::kFloat64, number}; }
  static GgufValue flag(bool value) { return {GgufKind::kFlag, value}; }
  static GgufValue text(std::string value) { return {GgufKind::kText, std::move(value)}; }
  static GgufValue texts(std::vector<std::string> items) {
    return {GgufKind::kArray, GgufArray{GgufKind::kText, std::move(items)}};
  }
  static GgufValue int32s(std::vector<int64_t> items) {
    return {GgufKind::kArray, GgufArray{GgufKind::kInt32, std::move(items)}};
  }
  bool operator==(const GgufValue&) const = default;
};

using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

/// The value of a key, if it is there and a text.
const std::string* gguf_text(const GgufMetadata& metadata, std::string_view key);

/// The items of a key, if it is there and an array of such items (uint64_t, int64_t, double, bool,
/// std::string).
template <typename T>
const std::vector<T>* gguf_items(const GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return nullptr;
  const auto* array = std::get_if<GgufArray>(&found->second.content);
  return array == nullptr ? nullptr : std::get_if<std::vector<T>>(&array->items);
}

/// How a tensor's numbers are stored: blocks of so many elements along the last extent.
struct GgufType {
  uint32_t id = 0;  ///< as written
  std::string_view name;
  uint64_t block_elements = 1;
  uint64_t block_bytes = 4;
};

/// The type of this number or name ("Q4_K"); nothing if it is none that we know the size of.
const GgufType* gguf_type(uint32_t id);
const GgufType* gguf_type(std::string_view name);

/// Our element type of the same numbers, where we compute with it; and the other way.
std::optional<DType> dtype_of(const GgufType& type);
const GgufType* gguf_type(DType dtype);

/// One tensor as the header announces it; the offsets count from the start of the data. The shape
/// is ours: the last extent is the one that lies together in memory, the first in the file's list.
struct GgufEntry {
  std::string name;
  const GgufType* type = nullptr;
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// What a file holds, checked: every tensor lies in the file, aligned, and over no other.
struct GgufHeader {
  uint32_t version = 3;
  GgufMetadata metadata;
  std::vector<GgufEntry> entries;  ///< in the order of the file's list
  uint64_t data_begin = 0;         ///< where in the file the data start

  /// The bytes of one of the entries in the file that was parsed.
  std::span<const std::byte> data(std::span<const std::byte> file, const GgufEntry& entry) const {
    if (entry.begin == entry.end) return {};
    return file.subspan(data_begin + entry.begin, entry.end - entry.begin);
  }
};

/// Reads the header of a file in memory; `where` names it in messages.
///
/// Errors     DataError for anything that the format forbids: magic, version, counts and lengths
///            beyond the file, unknown kinds and types, deep nesting, names that appear twice,
///            extents that overflow or split a block, offsets that are not aligned, out of range or
///            overlap.
GgufHeader parse_gguf_header(std::span<const std::byte> file, std::string_view where);

/// A file seen through a memory map.
///
/// Errors     IoError if it cannot be read; DataError as above.
/// Threads    immutable: safe to read from many threads.
class Gguf {
 public:
  explicit Gguf(const std::filesystem::path& path)
      : path_(path), file_(path), header_(parse_gguf_header(file_.bytes(), path_.string())) {}

  const std::filesystem::path& path() const { return path_; }
  const GgufMetadata& metadata() const { return header_.metadata; }
  const std::vector<GgufEntry>& entries() const { return header_.entries; }

  /// The bytes of one of the entries.
  std::span<const std::byte> data(const GgufEntry& entry) const {
    return header_.data(file_.bytes(), entry);
  }

  /// Lets go of the memory that holds what was looked at.
  void forget() const { file_.forget(); }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  GgufHeader header_;
};

/// A tensor that is going to be written.
struct GgufItem {
  std::string name;
  const GgufType* type = nullptr;
  Shape shape;
};

/// One whose bytes are there; they must outlive the call.
struct GgufTensor : GgufItem {
  std::span<const std::byte> data;
};

/// Writes a file of version 3, aligned to 32 bytes, atomically; tensors in the order given.
///
/// Errors     IoError if it cannot be written; InvalidArgument if bytes and shape of a tensor
///            disagree, a name appears twice or the metadata set another alignment.
void save_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               std::span<const GgufTensor> tensors);

/// The same bytes in memory.
std::vector<std::byte> format_gguf(const GgufMetadata& metadata,
                                   std::span<const GgufTensor> tensors);

}  // namespace longwave::io
