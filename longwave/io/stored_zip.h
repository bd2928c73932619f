// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace longwave::io {

/// A zip archive in memory whose files are stored, not compressed, as torch.save makes them;
/// zip64 included.
///
/// Errors     DataError if the directory is damaged, lies about sizes or places, names a file
///            twice or lets files overlap, or if a file is compressed or encrypted.
/// Threads    immutable: safe to read from many threads. The bytes must outlive it.
class StoredZip {
 public:
  /// `where` names the archive in messages.
  StoredZip(std::span<const std::byte> file, std::string_view where);

  struct Entry {
    std::span<const std::byte> data;
    uint32_t crc = 0;
  };
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

  /// The bytes of a file, whose check sum is compared first.
  ///
  /// Errors     DataError if there is no such file or its bytes were changed.
  std::span<const std::byte> read(std::string_view name) const;

 private:
  std::string where_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace longwave::io
