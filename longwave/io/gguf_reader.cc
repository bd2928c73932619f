// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "longwave/io/byte_reader.h"
#include "longwave/io/gguf_types.h"

namespace longwave::io {
namespace {

constexpr uint64_t kMostKeyBytes = 65535;
constexpr uint64_t kMostAlignment = uint64_t{1} << 20;
constexpr uint64_t kMostItems = uint64_t{1} << 26;
constexpr int kMostNesting = 4;
/// What a key with a value, and a tensor, take at least in the file.
constexpr uint64_t kLeastKeyBytes = 8 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

/// Takes the header apart from front to back.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, std::string_view where)
      : reader_(file, where, "GGUF"), file_bytes_(file.size()) {}

  GgufHeader read() {
    read_version();
    const uint64_t tensors = count("number of tensors", kLeastTensorBytes);
    const uint64_t keys = count("number of metadata keys", kLeastKeyBytes);
    for (uint64_t i = 0; i < keys; ++i) read_key();
    alignment_ = read_alignment();
    for (uint64_t i = 0; i < tensors; ++i) read_entry();
    header_.data_begin = aligned(reader_.at(), alignment_);
    check_places();
    return std::move(header_);
  }

 private:
  void read_version() {
    if (reader_.number<uint32_t>("the first four bytes") != kGgufMagic) {
      reader_.refuse("it must start with the letters GGUF");
    }
    header_.version = reader_.number<uint32_t>("the version");
    if (header_.version == 2 || header_.version == 3) return;
    const bool swapped = header_.version != 0 && (header_.version & 0xffff) == 0;
    throw DataError({.where = std::string(reader_.where()),
                     .what = swapped ? "the file is big-endian, which is not supported"
                                     : "this version of GGUF is not supported",
                     .got = swapped ? std::string() : "version " + std::to_string(header_.version),
                     .fix = "write it again as version 2 or 3, little-endian"});
  }

  /// A count of things that take at least `least` bytes each.
  uint64_t count(const std::string& what, uint64_t least) {
    const uint64_t number = reader_.number<uint64_t>("the " + what);
    if (number > reader_.left() / least) {
      reader_.refuse("the " + what + " is larger than the file can hold", std::to_string(number));
    }
    return number;
  }

  std::string_view text(const std::string& what) {
    const uint64_t length = reader_.number<uint64_t>("the length of " + what);
    return reader_.text(length, what);
  }

  GgufKind kind(const std::string& what) {
    const uint32_t number = reader_.number<uint32_t>("the kind of " + what);
    if (number > static_cast<uint32_t>(GgufKind::kFloat64)) {
      reader_.refuse(what + " is of an unknown kind", std::to_string(number));
    }
    return static_cast<GgufKind>(number);
  }

  void read_key() {
    const std::string_view key = text("a metadata key");
    if (key.empty() || key.size() > kMostKeyBytes) {
      reader_.refuse("a metadata key must have 1 to 65535 bytes", std::to_string(key.size()));
    }
    const std::string name(key);
    if (header_.metadata.contains(name)) reader_.refuse("duplicate key " + in_quotes(name));
    header_.metadata.emplace(name, value(in_quotes(name)));
  }

  bool flag(const std::string& what) {
    const auto number = reader_.number<uint8_t>(what);
    if (number > 1) reader_.refuse(what + " must be 0 or 1", std::to_string(number));
    return number == 1;
  }

  GgufValue value(const std::string& what) {
    const GgufKind is = kind(what);
    switch (is) {
      case GgufKind::kUint8:
      case GgufKind::kUint16:
      case GgufKind::kUint32:
      case GgufKind::kUint64:
        return {is, unsigned_number(is, what)};
      case GgufKind::kInt8:
      case GgufKind::kInt16:
      case GgufKind::kInt32:
      case GgufKind::kInt64:
        return {is, signed_number(is, what)};
      case GgufKind::kFloat32:
      case GgufKind::kFloat64:
        return {is, real_number(is, what)};
      case GgufKind::kFlag:
        return {is, flag(what)};
      case GgufKind::kText:
        return {is, std::string(text(what))};
      case GgufKind::kArray:
        break;
    }
    return {is, array(what, 1)};
  }

  uint64_t unsigned_number(GgufKind is, const std::string& what) {
    if (is == GgufKind::kUint8) return reader_.number<uint8_t>(what);
    if (is == GgufKind::kUint16) return reader_.number<uint16_t>(what);
    if (is == GgufKind::kUint32) return reader_.number<uint32_t>(what);
    return reader_.number<uint64_t>(what);
  }

  int64_t signed_number(GgufKind is, const std::string& what) {
    if (is == GgufKind::kInt8) return reader_.number<int8_t>(what);
    if (is == GgufKind::kInt16) return reader_.number<int16_t>(what);
    if (is == GgufKind::kInt32) return reader_.number<int32_t>(what);
    return reader_.number<int64_t>(what);
  }

  double real_number(GgufKind is, const std::string& what) {
    return is == GgufKind::kFloat32 ? static_cast<double>(reader_.number<float>(what))
                                    : reader_.number<double>(what);
  }

  /// Bytes that an item takes at least.
  static uint64_t least_bytes(GgufKind is) {
    static constexpr uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
    return kBytes[static_cast<size_t>(is)];
  }

  template <typename T, typename Read>
  static std::vector<T> items(uint64_t count, const Read& read) {
    std::vector<T> result;
    result.reserve(count);
    for (uint64_t i = 0; i < count; ++i) result.push_back(read());
    return result;
  }

  GgufArray array(const std::string& what, int depth) {
    if (depth > kMostNesting) reader_.refuse(what + " nests arrays too deeply");
    const GgufKind is = kind("the items of " + what);
    const uint64_t length = count("length of array " + what, least_bytes(is));
    if (length > kMostItems) {
      reader_.refuse("array " + what + " is too long", std::to_string(length));
    }
    switch (is) {
      case GgufKind::kUint8:
      case GgufKind::kUint16:
      case GgufKind::kUint32:
      case GgufKind::kUint64:
        return {is, items<uint64_t>(length, [&] { return unsigned_number(is, what); })};
      case GgufKind::kInt8:
      case GgufKind::kInt16:
      case GgufKind::kInt32:
      case GgufKind::kInt64:
        return {is, items<int64_t>(length, [&] { return signed_number(is, what); })};
      case GgufKind::kFloat32:
      case GgufKind::kFloat64:
        return {is, items<double>(length, [&] { return real_number(is, what); })};
      case GgufKind::kFlag:
        return {is, items<bool>(length, [&] { return flag(what); })};
      case GgufKind::kText:
        return {is, items<std::string>(length, [&] { return std::string(text(what)); })};
      case GgufKind::kArray:
        break;
    }
    return {is, items<GgufArray>(length, [&] { return array(what, depth + 1); })};
  }

  uint64_t read_alignment() {
    const auto found = header_.metadata.find(kGgufAlignmentKey);
    if (found == header_.metadata.end()) return kGgufAlignment;
    const auto* number = std::get_if<uint64_t>(&found->second.content);
    if (number == nullptr || *number == 0 || *number > kMostAlignment ||
        (*number & (*number - 1)) != 0) {
      reader_.refuse(
          "general.alignment must be a power of two up to " + std::to_string(kMostAlignment),
          number == nullptr ? "no unsigned number" : std::to_string(*number));
    }
    return *number;
  }

  void read_entry() {
    GgufEntry entry;
    entry.name = std::string(text("the name of a tensor"));
    const std::string tensor = "tensor " + in_quotes(entry.name);
    if (!names_.insert(entry.name).second) reader_.refuse("duplicate " + tensor);
    const auto rank = reader_.number<uint32_t>("the number of extents of " + tensor);
    if (rank > kGgufMostExtents) {
      reader_.refuse(tensor + " has more than 4 extents", std::to_string(rank));
    }
    entry.shape.resize(rank);
    for (uint32_t i = 0; i < rank; ++i) {
      const auto extent = reader_.number<uint64_t>("an extent of " + tensor);
      if (extent > uint64_t{1} << 52) {
        reader_.refuse("an extent of " + tensor + " is too large", std::to_string(extent));
      }
      entry.shape[rank - 1 - i] = static_cast<int64_t>(extent);
    }
    const auto type = reader_.number<uint32_t>("the type of " + tensor);
    entry.type = gguf_type(type);
    if (entry.type == nullptr) {
      reader_.refuse(tensor + " has an unknown type", "type number " + std::to_string(type));
    }
    entry.begin = reader_.number<uint64_t>("the offset of " + tensor);
    if (entry.begin % alignment_ != 0) {
      reader_.refuse(
          "the offset of " + tensor + " must be a multiple of " + std::to_string(alignment_),
          std::to_string(entry.begin));
    }
    const auto bytes = gguf_bytes(*entry.type, entry.shape);
    if (!bytes) {
      reader_.refuse("the extents of " + tensor + " overflow, or its rows are no whole blocks of " +
                         std::string(entry.type->name),
                     to_string(entry.shape));
    }
    if (*bytes > file_bytes_ || entry.begin > file_bytes_ - *bytes) {
      reader_.refuse("the file ends inside " + tensor,
                     std::to_string(*bytes) + " bytes at offset " + std::to_string(entry.begin) +
                         " of the data in a file of " + std::to_string(file_bytes_));
    }
    entry.end = entry.begin + *bytes;
    header_.entries.push_back(std::move(entry));
  }

  /// Every tensor must lie in the file and over no other.
  void check_places() const {
    std::vector<const GgufEntry*> sorted;
    for (const GgufEntry& entry : header_.entries) sorted.push_back(&entry);
    std::ranges::sort(sorted, {},
                      [](const GgufEntry* entry) { return std::pair(entry->begin, entry->end); });
    uint64_t last = 0;
    for (const GgufEntry* entry : sorted) {
      if (entry->begin < last) {
        reader_.refuse("tensor " + in_quotes(entry->name) + " lies over another",
                       "it begins at " + std::to_string(entry->begin) +
                           ", the one before ends at " + std::to_string(last));
      }
      last = entry->end;
    }
    if (last == 0 || header_.data_begin + last <= file_bytes_) return;
    reader_.refuse("the file ends inside tensor " + in_quotes(sorted.back()->name),
                   std::to_string(file_bytes_) + " of at least " +
                       std::to_string(header_.data_begin + last) + " bytes");
  }

  ByteReader reader_;
  uint64_t file_bytes_;
  uint64_t alignment_ = kGgufAlignment;
  GgufHeader header_;
  std::set<std::string, std::less<>> names_;
};

}  // namespace

GgufHeader parse_gguf_header(std::span<const std::byte> file, std::string_view where) {
  return HeaderReader(file, where).read();
}

}  // namespace longwave::io
