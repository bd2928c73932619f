// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/idx.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/gzip.h"

namespace longwave::data {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 32;
constexpr size_t kExtentBytes = 4;

[[noreturn]] void reject(std::string_view where, std::string what, std::string got) {
  throw DataError({.where = std::string(where),
                   .what = "not a sound IDX file: " + std::move(what),
                   .got = std::move(got),
                   .fix = "fetch the file again, or check that it is one of MNIST's kind"});
}

int64_t big_endian(std::span<const std::byte> bytes) {
  int64_t number = 0;
  for (std::byte byte : bytes) number = number << 8 | std::to_integer<int64_t>(byte);
  return number;
}

Idx parse_plain(std::span<const std::byte> file, std::string_view where) {
  constexpr size_t kMagicBytes = 4;
  constexpr int64_t kUnsignedByte = 8, kMostExtents = 4;
  if (file.size() < kMagicBytes) {
    reject(where, "it ends inside the magic number", std::to_string(file.size()) + " bytes");
  }
  const int64_t magic = big_endian(file.first(kMagicBytes));
  const int64_t type = magic >> 8, rank = magic & 0xff;
  if (type != kUnsignedByte || rank < 1 || rank > kMostExtents) {
    reject(where, "the magic number must be 0x0801 to 0x0804 (unsigned bytes)",
           std::to_string(magic) + " at byte 0");
  }
  const size_t begin = kMagicBytes + static_cast<size_t>(rank) * kExtentBytes;
  if (file.size() < begin) {
    reject(where, "it ends inside the extents", std::to_string(file.size()) + " bytes");
  }
  Idx idx;
  uint64_t count = 1;
  for (int64_t i = 0; i < rank; ++i) {
    const size_t at = kMagicBytes + static_cast<size_t>(i) * kExtentBytes;
    idx.extents.push_back(big_endian(file.subspan(at, kExtentBytes)));
    const auto extent = static_cast<uint64_t>(idx.extents.back());
    if (extent > 0 && count > kMostBytes / extent) {
      reject(where, "the extents are too large",
             std::to_string(extent) + " at byte " + std::to_string(at));
    }
    count *= extent;
  }
  if (file.size() - begin != count) {
    reject(where, "it must hold " + std::to_string(count) + " values",
           std::to_string(file.size() - begin) + " after byte " + std::to_string(begin));
  }
  idx.values.resize(count);
  std::ranges::transform(file.subspan(begin), idx.values.begin(),
                         [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
  return idx;
}

}  // namespace

Idx parse_idx(std::span<const std::byte> file, std::string_view where) {
  if (!io::is_gzip(file)) return parse_plain(file, where);
  return parse_plain(io::gunzip(file, kMostBytes, where), where);
}

Idx load_idx(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path found = path;
  if (!std::filesystem::exists(found, ignored)) found += ".gz";
  if (!std::filesystem::exists(found, ignored)) found = path;
  const io::MappedFile file(found);
  return parse_idx(file.bytes(), found.string());
}

}  // namespace longwave::data
