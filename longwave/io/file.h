// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::io {

/// The IoError for a system call that failed on `path`: what was tried, errno's text, a way out.
///
/// `got` adds what was achieved until then ("wrote 512 of 4096 bytes").
IoError system_error(const std::filesystem::path& path, std::string_view attempt, int error_number,
                     std::string got = {});

/// The whole file.
///
/// Errors     IoError if it cannot be read or holds more than `limit` bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, uint64_t limit);

/// The whole file as text; errors as `read_file`.
std::string read_text(const std::filesystem::path& path, uint64_t limit);

/// A file seen as memory, read-only; move-only, unmapped at its end.
///
/// The file must not be shortened meanwhile. Files replaced by a rename, as everything that
/// Longwave writes is, keep their old content here.
///
/// Errors     IoError if it cannot be opened or mapped.
/// Threads    safe to read from many threads.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Lets go of the memory that holds what was looked at; it is read again when looked at again.
  void forget() const;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace longwave::io
