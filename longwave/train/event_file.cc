// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/event_file.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <chrono>
#include <string_view>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;

// Field numbers of event.proto and summary.proto.
constexpr uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr uint32_t kSummaryValue = 1, kValueTag = 1, kValueSimple = 2;
constexpr uint32_t kStatus = 1, kStart = 1;

enum class Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr std::array<uint32_t, 256> crc_table() {
  constexpr uint32_t kReversedPolynomial = 0x82f63b78;
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kReversedPolynomial : 0);
    table[byte] = sum;
  }
  return table;
}

/// CRC-32C, rotated and moved as TFRecord wants it, so that a sum of sums is no special case.
uint32_t masked_crc(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t sum = 0xffffffff;
  for (const char byte : bytes) sum = (sum >> 8) ^ kTable[(sum ^ static_cast<uint8_t>(byte)) & 255];
  return std::rotr(~sum, 15) + 0xa282ead8;
}

template <typename T>
void put_little_endian(std::string& out, T bits) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>((bits >> (8 * i)) & 255);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127) | 128);
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint32_t field, Wire wire) {
  put_varint(out, (field << 3) | static_cast<uint32_t>(wire));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, Wire::kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

/// The start of an event: time of the wall clock, and step.
std::string event_at(int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  put_key(event, kWallTime, Wire::kFixed64);
  put_little_endian(event, std::bit_cast<uint64_t>(std::chrono::duration<double>(now).count()));
  put_key(event, kStep, Wire::kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

std::string value_of(const Scalar& scalar) {
  std::string value;
  put_bytes(value, kValueTag, scalar.tag);
  put_key(value, kValueSimple, Wire::kFixed32);
  put_little_endian(value, std::bit_cast<uint32_t>(static_cast<float>(scalar.value)));
  return value;
}

/// A name that sorts after those of the folder: TensorBoard reads files in this order.
std::string fresh_name(const fs::path& folder) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  int64_t number = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    number += entry.is_regular_file() ? 1 : 0;
  }
  return fmt::format("events.out.tfevents.{:010}.{:06}",
                     std::chrono::duration_cast<std::chrono::seconds>(now).count(), number);
}

}  // namespace

EventFile::EventFile(const fs::path& folder, int64_t first_step) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw io::system_error(folder, "create the folder", error.value());
  path_ = folder / fresh_name(folder);
  stream_.open(path_, std::ios::binary | std::ios::app);
  std::string version = event_at(0);
  put_bytes(version, kFileVersion, "brain.Event:2");
  write(version);
  std::string status;
  put_key(status, kStatus, Wire::kVarint);
  put_varint(status, kStart);
  std::string start = event_at(first_step);
  put_bytes(start, kSessionLog, status);
  write(start);
}

void EventFile::append(int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) put_bytes(summary, kSummaryValue, value_of(scalar));
  std::string event = event_at(step);
  put_bytes(event, kSummary, summary);
  write(event);
}

void EventFile::write(const std::string& event) {
  std::string length;
  put_little_endian(length, uint64_t{event.size()});
  std::string frame = length;
  put_little_endian(frame, masked_crc(length));
  frame += event;
  put_little_endian(frame, masked_crc(event));
  stream_ << frame << std::flush;
  if (stream_.good()) return;
  throw IoError({.where = path_.string(),
                 .what = "an event for TensorBoard cannot be written",
                 .got = {},
                 .fix = "make room on the disk, then resume the run"});
}

}  // namespace longwave::train
