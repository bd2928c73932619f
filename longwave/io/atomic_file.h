// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace longwave::io {

/// A file that appears under its name complete and safe on disk, or not at all.
///
/// Bytes go to a hidden file beside it; `commit` flushes that to the disk, renames it and flushes
/// the folder. Until then, and after any failure, an earlier file of the name is untouched. Hidden
/// files that killed processes left behind for the same name are removed when the next one starts.
///
/// Errors     IoError with path, errno's text and how much was written: full disk, quota, file size
///            limit, no permission. A program that sets RLIMIT_FSIZE must ignore SIGXFSZ.
/// Threads    one owner at a time; two writers of one name end with one of the two files.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);

  /// Drops what was written if it was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Goes on at another place of the file; what is passed over holds zeros until it is written.
  void seek(uint64_t place);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  size_t written_ = 0;
};

/// Replaces or creates the file in one step; errors as AtomicFile.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// IoError if there is something at the path already but an empty folder or file: for those who
/// write nothing over.
void require_new(const std::filesystem::path& path);

/// A folder that appears under its name complete and safe on disk, or not at all.
///
/// Write files into `path()`, then `commit()`: it flushes every file, exchanges the new folder with
/// an earlier one of the name in one step, flushes the parent and removes the earlier one. On file
/// systems that cannot exchange, the earlier one is set aside for the moment of the rename.
///
/// Errors     IoError as AtomicFile; an earlier folder is untouched then.
/// Threads    one owner at a time.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path path);

  /// Removes the unfinished folder if it was not committed.
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write until `commit`.
  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

}  // namespace longwave::io
