// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/state.h"

#include <algorithm>
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

constexpr char kMagic[7] = {'L', 'W', 'S', 'T', 'A', 'T', 'E'};
constexpr char kPlain = 1;  ///< versions
constexpr char kParts = 2;
constexpr size_t kHeader = 32;
constexpr size_t kCount = 8;
constexpr size_t kPart = 16;
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

/// Bytes before the values of a file.
size_t header_of(const std::vector<StatePart>& parts) {
  return parts.empty() ? kHeader : kHeader + kCount + kPart * parts.size();
}

/// The parts of a state, or `all` where it has none.
std::span<const StatePart> parts_of(const std::vector<StatePart>& parts, const StatePart& all) {
  return parts.empty() ? std::span(&all, 1) : std::span(parts);
}

int64_t numbers_of(std::span<const StatePart> parts) {
  int64_t count = 0;
  for (const StatePart& part : parts) count += part.count;
  return count;
}

/// The parts that a file of version 2 begins with.
std::vector<StatePart> read_parts(std::span<const std::byte> bytes, uint64_t values,
                                  std::string_view where) {
  const size_t room = bytes.size() - kChecksum;
  if (room < kHeader + kCount) reject(where, "too short for its parts", {});
  const auto count = read_at<uint64_t>(bytes, kHeader);
  if (count == 0 || count > (room - kHeader - kCount) / kPart) {
    reject(where, "the file does not hold the parts it announces", std::to_string(count));
  }
  std::vector<StatePart> parts;
  uint64_t sum = 0;
  for (size_t at = kHeader + kCount; parts.size() < count; at += kPart) {
    const auto form = read_at<uint64_t>(bytes, at), size = read_at<uint64_t>(bytes, at + 8);
    if (form >= kStateForms.size() || size > values - sum) {
      reject(where, "a part makes no sense",
             "form " + std::to_string(form) + ", " + std::to_string(size) + " values");
    }
    sum += size;
    parts.push_back({kStateForms[form].second, static_cast<int64_t>(size)});
  }
  if (sum != values) reject(where, "the parts are not all of the state", std::to_string(sum));
  return parts;
}

}  // namespace

PackedState pack(const State& state) {
  const StatePart all{.count = std::ssize(state.values)};
  const std::span<const StatePart> parts = parts_of(state.parts, all);
  PackedState packed{.fingerprint = state.fingerprint,
                     .position = state.position,
                     .parts = state.parts,
                     .bytes = std::vector<std::byte>(static_cast<size_t>(packed_bytes(parts)))};
  pack(state.values, parts, packed.bytes);
  return packed;
}

State unpack(const PackedState& packed) {
  const StatePart all{.count = std::ssize(packed.bytes) / static_cast<int64_t>(sizeof(float))};
  const std::span<const StatePart> parts = parts_of(packed.parts, all);
  State state{.fingerprint = packed.fingerprint,
              .position = packed.position,
              .values = std::vector<float>(static_cast<size_t>(numbers_of(parts))),
              .parts = packed.parts};
  unpack(packed.bytes, parts, state.values);
  return state;
}

std::vector<std::byte> format_state(const State& state) {
  const PackedState packed = pack(state);
  const size_t header = header_of(packed.parts), body = packed.bytes.size();
  std::vector<std::byte> bytes(header + body + kChecksum);
  std::memcpy(bytes.data(), kMagic, sizeof(kMagic));
  write_at(bytes, sizeof(kMagic), packed.parts.empty() ? kPlain : kParts);
  write_at(bytes, 8, packed.fingerprint);
  write_at(bytes, 16, packed.position);
  write_at(bytes, 24, static_cast<uint64_t>(state.values.size()));
  size_t at = kHeader;
  if (!packed.parts.empty()) write_at(bytes, at, static_cast<uint64_t>(packed.parts.size()));
  at += kCount;
  for (const StatePart& part : packed.parts) {
    write_at(bytes, at, static_cast<uint64_t>(part.form));
    write_at(bytes, at + 8, static_cast<uint64_t>(part.count));
    at += kPart;
  }
  if (body > 0) std::memcpy(bytes.data() + header, packed.bytes.data(), body);
  write_at(bytes, header + body, hash_bytes(std::span(bytes).first(header + body)));
  return bytes;
}

State parse_state(std::span<const std::byte> bytes, std::string_view where) {
  const std::string size = std::to_string(bytes.size()) + " bytes";
  if (bytes.size() < kHeader + kChecksum) reject(where, "too short for a state file", size);
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    reject(where, "not a state file", "another first line");
  }
  const auto version = read_at<char>(bytes, sizeof(kMagic));
  if (version != kPlain && version != kParts) {
    reject(where, "a state file of another version", "version " + std::to_string(version));
  }
  const auto count = read_at<uint64_t>(bytes, 24);
  // A value takes a byte at least.
  if (count > bytes.size()) {
    reject(where, "the file does not hold the values it announces", size);
  }
  PackedState packed{.fingerprint = read_at<uint64_t>(bytes, 8),
                     .position = read_at<int64_t>(bytes, 16),
                     .parts = {},
                     .bytes = {}};
  if (version == kParts) packed.parts = read_parts(bytes, count, where);
  const StatePart all{.count = static_cast<int64_t>(count)};
  const size_t header = header_of(packed.parts), room = bytes.size() - kChecksum;
  const auto body = static_cast<size_t>(packed_bytes(parts_of(packed.parts, all)));
  if (room < header || room - header != body) {
    reject(where, "the file does not hold the " + std::to_string(count) + " values it announces",
           size);
  }
  if (read_at<uint64_t>(bytes, room) != hash_bytes(bytes.first(room))) {
    reject(where, "the checksum does not match", "damaged bytes");
  }
  if (packed.position < 0) {
    reject(where, "the position is negative", std::to_string(packed.position));
  }
  const auto values = bytes.subspan(header, body);
  packed.bytes.assign(values.begin(), values.end());
  State state = unpack(packed);
  if (!packed.parts.empty() && pack(state).bytes != packed.bytes) {
    reject(where, "the values are not as they are written", "damaged bytes");
  }
  return state;
}

void save_state(const std::filesystem::path& path, const State& state) {
  io::write_file_atomically(path, std::span<const std::byte>(format_state(state)));
}

State load_state(const std::filesystem::path& path) {
  return parse_state(io::read_file(path, kLimit), path.string());
}

}  // namespace longwave::runtime
