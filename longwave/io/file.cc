// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace longwave::io {
namespace {

std::string advice(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "check the path; every folder above it must exist";
    case EACCES:
    case EPERM:
      return "check the permissions of the file and its folder";
    case ENOSPC:
    case EDQUOT:
      return "free space there, or choose another folder; what was there before is untouched";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f); what was there before is untouched";
    case EROFS:
      return "choose a folder on a writable file system";
    case EISDIR:
      return "name a file, not a folder";
    case ENOTDIR:
      return "name a folder, not a file";
    case EMFILE:
    case ENFILE:
      return "raise the limit on open files (ulimit -n)";
    default:
      return {};
  }
}

/// An open descriptor for reading a regular file, and its size.
class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (number_ < 0) throw system_error(path, "cannot open for reading", errno);
    struct stat status {};
    if (::fstat(number_, &status) != 0) fail(path, "cannot ask for its size", errno);
    if (S_ISDIR(status.st_mode)) fail(path, "cannot read", EISDIR);
    regular_ = S_ISREG(status.st_mode);
    size_ = regular_ ? static_cast<uint64_t>(status.st_size) : 0;
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool regular() const { return regular_; }
  uint64_t size() const { return size_; }

 private:
  [[noreturn]] void fail(const std::filesystem::path& path, std::string_view attempt, int error) {
    ::close(number_);
    throw system_error(path, attempt, error);
  }

  int number_;
  bool regular_ = false;
  uint64_t size_ = 0;
};

[[noreturn]] void too_large(const std::filesystem::path& path, uint64_t limit) {
  throw IoError({.where = path.string(),
                 .what = "file is larger than the " + std::to_string(limit) +
                         " bytes that make sense for its kind",
                 .got = {},
                 .fix = "check that this is the file you mean"});
}

/// Appends what the descriptor gives until its end; works for pipes and /dev files too.
template <typename Buffer>
Buffer read_all(const std::filesystem::path& path, uint64_t limit) {
  constexpr size_t kPiece = size_t{1} << 16;
  const Descriptor file(path);
  if (file.size() > limit) too_large(path, limit);
  Buffer content;
  size_t filled = 0;
  content.resize(file.size() > 0 ? file.size() + 1 : kPiece);
  while (true) {
    const ssize_t count = ::read(file.number(), content.data() + filled, content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw system_error(path, "cannot read", errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
    if (filled > limit) too_large(path, limit);
    if (filled == content.size()) content.resize(filled + std::max(filled / 2, kPiece));
  }
  content.resize(filled);
  return content;
}

}  // namespace

IoError system_error(const std::filesystem::path& path, std::string_view attempt, int error_number,
                     std::string got) {
  return IoError({.where = path.string(),
                  .what = std::string(attempt) + ": " + std::strerror(error_number),
                  .got = std::move(got),
                  .fix = advice(error_number)});
}

std::vector<std::byte> read_file(const std::filesystem::path& path, uint64_t limit) {
  return read_all<std::vector<std::byte>>(path, limit);
}

std::string read_text(const std::filesystem::path& path, uint64_t limit) {
  return read_all<std::string>(path, limit);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(path);
  if (!file.regular()) throw system_error(path, "cannot map into memory", ENODEV);
  if (file.size() == 0) return;
  void* address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (address == MAP_FAILED) throw system_error(path, "cannot map into memory", errno);
  bytes_ = {static_cast<const std::byte*>(address), file.size()};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::forget() const {
  // Without this all stays counted as the process's own; nothing depends on it.
  if (!bytes_.empty()) {
    static_cast<void>(
        ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_DONTNEED));
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace longwave::io
