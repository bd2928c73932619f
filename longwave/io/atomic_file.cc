// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::io {
namespace {

namespace fs = std::filesystem;

/// The path without trailing separators, so that it ends in a name.
fs::path named(fs::path path) {
  while (!path.has_filename() && path.has_parent_path() && path != path.root_path()) {
    path = path.parent_path();
  }
  if (!path.has_filename() || path.filename() == "." || path.filename() == "..") {
    throw IoError({.where = path.string(),
                   .what = "this names no file or folder that could be written",
                   .got = "\"" + path.string() + "\"",
                   .fix = "give a path that ends in a name"});
  }
  return path;
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string hidden_prefix(const fs::path& path) {
  return "." + path.filename().string() + ".partial-";
}

/// Calls `create(path)` with hidden names beside `path` until one is new; it returns an error
/// number.
template <typename Create>
fs::path hidden_beside(const fs::path& path, const Create& create) {
  for (int attempt = 0;; ++attempt) {
    const fs::path hidden = parent_of(path) / (hidden_prefix(path) + std::to_string(::getpid()) +
                                               "-" + std::to_string(attempt));
    const int error = create(hidden);
    if (error == 0) return hidden;
    if (error != EEXIST) throw system_error(path, "cannot create", error);
  }
}

/// Removes what a killed writer of the same name left: a living one holds a lock on its own, once
/// the moment between creating and locking is over.
void remove_leftovers(const fs::path& path) {
  const std::string prefix = hidden_prefix(path);
  constexpr auto kMoment = std::chrono::seconds(2);
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent_of(path), ignored)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    if (fs::file_time_type::clock::now() - entry.last_write_time(ignored) < kMoment) continue;
    const int descriptor = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), ignored);
    ::close(descriptor);
  }
}

/// Flushes a file or folder to the disk.
void flush(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_error(path, "cannot open to flush to disk", errno);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // Some file systems cannot flush a folder and say EINVAL: then there is nothing to wait for.
  if (result != 0 && error != EINVAL) throw system_error(path, "cannot flush to disk", error);
}

void flush_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() || entry.is_directory()) flush(entry.path());
  }
  flush(folder);
}

/// Puts the folder `from` in the place of the folder `to`, which goes to `from`.
void exchange_folders(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) throw system_error(to, "cannot replace folder", errno);
  const fs::path aside = from.string() + ".earlier";
  if (::rename(to.c_str(), aside.c_str()) != 0) {
    throw system_error(to, "cannot set the earlier folder aside", errno);
  }
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    static_cast<void>(::rename(aside.c_str(), to.c_str()));
    throw system_error(to, "cannot rename the finished folder", error);
  }
  static_cast<void>(::rename(aside.c_str(), from.c_str()));
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(named(std::move(path))) {
  remove_leftovers(path_);
  constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  constexpr mode_t kReadWriteForAll = 0666;
  temporary_ = hidden_beside(path_, [this](const fs::path& hidden) {
    descriptor_ = ::open(hidden.c_str(), kNewFile, kReadWriteForAll);
    return descriptor_ < 0 ? errno : 0;
  });
  static_cast<void>(::flock(descriptor_, LOCK_EX | LOCK_NB));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::seek(uint64_t place) {
  if (::lseek(descriptor_, static_cast<off_t>(place), SEEK_SET) < 0) {
    throw system_error(path_, "cannot go to another place", errno);
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  const size_t total = written_ + bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      throw system_error(
          path_, "cannot write", count < 0 ? errno : ENOSPC,
          "wrote " + std::to_string(written_) + " of " + std::to_string(total) + " bytes");
    }
    written_ += static_cast<size_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw system_error(path_, "cannot flush to disk", errno);
  const int descriptor = std::exchange(descriptor_, -1);
  const bool renamed = ::rename(temporary_.c_str(), path_.c_str()) == 0;
  const int error = errno;
  ::close(descriptor);
  if (!renamed) {
    ::unlink(temporary_.c_str());
    throw system_error(path_, "cannot rename the finished file", error);
  }
  flush(parent_of(path_));
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

AtomicFolder::AtomicFolder(fs::path path) : path_(named(std::move(path))) {
  remove_leftovers(path_);
  constexpr mode_t kAllForAll = 0777;
  temporary_ = hidden_beside(path_, [](const fs::path& hidden) {
    return ::mkdir(hidden.c_str(), kAllForAll) != 0 ? errno : 0;
  });
  descriptor_ = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    const int error = errno;
    ::rmdir(temporary_.c_str());
    throw system_error(path_, "cannot create", error);
  }
  static_cast<void>(::flock(descriptor_, LOCK_EX | LOCK_NB));
}

AtomicFolder::~AtomicFolder() {
  if (descriptor_ < 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  ::close(descriptor_);
}

void AtomicFolder::commit() {
  try {
    flush_tree(temporary_);
  } catch (const fs::filesystem_error& error) {
    throw system_error(temporary_, "cannot flush to disk", error.code().value());
  }
  std::error_code ignored;
  if (fs::is_directory(path_, ignored)) {
    exchange_folders(temporary_, path_);
    flush(parent_of(path_));
    fs::remove_all(temporary_, ignored);
  } else {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      throw system_error(path_, "cannot rename the finished folder", errno);
    }
    flush(parent_of(path_));
  }
  ::close(std::exchange(descriptor_, -1));
}

void require_new(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error) || fs::is_empty(path, error)) return;
  throw IoError({.where = path.string(),
                 .what = "there is something already",
                 .got = {},
                 .fix = "choose another folder"});
}

}  // namespace longwave::io
