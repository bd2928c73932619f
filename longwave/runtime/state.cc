// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/state.h"

#include <bit>
#include <cstring>
#include <string>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/runtime/hash.h"

namespace longwave::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr char kMagic[8] = {'L', 'W', 'S', 'T', 'A', 'T', 'E', 1};
constexpr size_t kHeader = 32;
constexpr size_t kChecksum = 8;

/// States are small; a file beyond this is something else.
constexpr uint64_t kLimit = uint64_t{1} << 32;

template <typename T>
T read_at(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

template <typename T>
void write_at(std::vector<std::byte>& bytes, size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

[[noreturn]] void reject(std::string_view where, std::string what, std::string got) {
  throw DataError({.where = std::string(where),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = "save the state again; this file cannot be continued from"});
}

}  // namespace

std::vector<std::byte> format_state(const State& state) {
  const size_t body = state.values.size() * sizeof(float);
  std::vector<std::byte> bytes(kHeader + body + kChecksum);
  std::memcpy(bytes.data(), kMagic, sizeof(kMagic));
  write_at(bytes, 8, state.fingerprint);
  write_at(bytes, 16, state.position);
  write_at(bytes, 24, static_cast<uint64_t>(state.values.size()));
  if (body > 0) std::memcpy(bytes.data() + kHeader, state.values.data(), body);
  write_at(bytes, kHeader + body, hash_bytes(std::span(bytes).first(kHeader + body)));
  return bytes;
}

State parse_state(std::span<const std::byte> bytes, std::string_view where) {
  const std::string size = std::to_string(bytes.size()) + " bytes";
  if (bytes.size() < kHeader + kChecksum) reject(where, "too short for a state file", size);
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic) - 1) != 0) {
    reject(where, "not a state file", "another first line");
  }
  const int version = static_cast<int>(bytes[sizeof(kMagic) - 1]);
  if (version != kMagic[sizeof(kMagic) - 1]) {
    reject(where, "a state file of another version", "version " + std::to_string(version));
  }
  const uint64_t count = read_at<uint64_t>(bytes, 24);
  const size_t body = bytes.size() - kHeader - kChecksum;
  if (body % sizeof(float) != 0 || count != body / sizeof(float)) {
    reject(where, "the file does not hold the " + std::to_string(count) + " values it announces",
           size);
  }
  if (read_at<uint64_t>(bytes, bytes.size() - kChecksum) !=
      hash_bytes(bytes.first(bytes.size() - kChecksum))) {
    reject(where, "the checksum does not match", "damaged bytes");
  }
  State state{.fingerprint = read_at<uint64_t>(bytes, 8),
              .position = read_at<int64_t>(bytes, 16),
              .values = std::vector<float>(count)};
  if (state.position < 0) reject(where, "the position is negative", std::to_string(state.position));
  if (body > 0) std::memcpy(state.values.data(), bytes.data() + kHeader, body);
  return state;
}

void save_state(const std::filesystem::path& path, const State& state) {
  io::write_file_atomically(path, std::span<const std::byte>(format_state(state)));
}

State load_state(const std::filesystem::path& path) {
  return parse_state(io::read_file(path, kLimit), path.string());
}

}  // namespace longwave::runtime
