// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::io {
namespace {

[[noreturn]] void reject(std::string_view where, std::string what, uint64_t position) {
  throw DataError({.where = std::string(where),
                   .what = "not a sound gzip file: " + std::move(what),
                   .got = "at byte " + std::to_string(position) + " of the unpacked content",
                   .fix = "fetch the file again"});
}

/// zlib's stream with its memory.
class Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16;
    if (::inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(std::span<const std::byte> bytes, uint64_t limit,
                              std::string_view where) {
  constexpr size_t kPiece = size_t{1} << 20;
  Inflater inflater;
  z_stream& stream = inflater.stream();
  std::vector<std::byte> content;
  size_t taken = 0, filled = 0;
  while (true) {
    const size_t input = std::min<size_t>(bytes.size() - taken, std::numeric_limits<int>::max());
    if (filled == content.size()) {
      content.resize(filled + std::max(filled, std::min(kPiece, 4 * bytes.size() + 1)));
    }
    const size_t room = std::min<size_t>(content.size() - filled, std::numeric_limits<int>::max());
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data() + taken));
    stream.avail_in = static_cast<uInt>(input);
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + filled);
    stream.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    taken += input - stream.avail_in;
    filled += room - stream.avail_out;
    if (filled > limit) reject(where, "more than " + std::to_string(limit) + " bytes", filled);
    if (status == Z_STREAM_END) {
      if (taken == bytes.size()) break;
      if (::inflateReset(&stream) != Z_OK) reject(where, "it cannot be continued", filled);
    } else if (status == Z_BUF_ERROR ||
               (status == Z_OK && taken == bytes.size() && filled < content.size())) {
      reject(where, "it ends too early", filled);
    } else if (status != Z_OK) {
      reject(where, stream.msg != nullptr ? stream.msg : "it is damaged", filled);
    }
  }
  content.resize(filled);
  return content;
}

}  // namespace longwave::io
