// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::io {

static_assert(std::endian::native == std::endian::little, "the formats read are little-endian");

/// Takes little-endian numbers and runs of bytes from a file in memory, never beyond its end.
///
/// Errors     DataError from every member: `where` is the file, `kind` its format.
/// Threads    one owner at a time; the bytes must outlive it.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view where, std::string_view kind)
      : bytes_(bytes), where_(where), kind_(kind) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }
  std::string_view where() const { return where_; }

  /// The next number; `what` says what it is.
  template <typename T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, run(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// The next `count` bytes.
  std::span<const std::byte> run(uint64_t count, std::string_view what) {
    if (count > left()) {
      refuse("the file ends inside " + std::string(what),
             std::to_string(count) + " bytes at offset " + std::to_string(at_) + " of " +
                 std::to_string(bytes_.size()));
    }
    const auto result = bytes_.subspan(at_, count);
    at_ += count;
    return result;
  }

  std::string_view text(uint64_t count, std::string_view what) {
    const auto bytes = run(count, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  [[noreturn]] void refuse(std::string what, std::string got = {}) const {
    throw DataError({.where = std::string(where_),
                     .what = "not a sound " + std::string(kind_) + " file: " + std::move(what),
                     .got = std::move(got),
                     .fix = "fetch or export the file again; it is damaged or of another format"});
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t at_ = 0;
  std::string_view where_, kind_;
};

/// A name as messages show it: quoted, cut if long.
inline std::string in_quotes(std::string_view text) {
  constexpr size_t kMost = 80;
  return "\"" + std::string(text.substr(0, kMost)) + (text.size() > kMost ? "...\"" : "\"");
}

}  // namespace longwave::io
