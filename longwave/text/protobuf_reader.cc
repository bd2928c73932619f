// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/protobuf_reader.h"

#include <bit>

#include "longwave/base/error.h"

namespace longwave::text {
namespace {

using Kind = ProtobufField::Kind;

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = (value << 8) | static_cast<uint8_t>(bytes[i]);
  return value;
}

void append_varint(std::string& message, uint64_t value) {
  for (; value >= 0x80; value >>= 7) message += static_cast<char>(value | 0x80);
  message += static_cast<char>(value);
}

void append_tag(std::string& message, uint64_t number, Kind kind) {
  append_varint(message, (number << 3) | static_cast<uint64_t>(kind));
}

}  // namespace

void ProtobufReader::damaged(const std::string& what) const {
  throw DataError({.where = where_,
                   .what = what,
                   .got = {},
                   .fix = "this is no Protocol Buffers message, or it was cut off"});
}

uint64_t ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<uint8_t>(take(1).front());
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  damaged("a number is too long");
}

std::string_view ProtobufReader::take(uint64_t count) {
  if (count > rest_.size()) damaged("a field reaches beyond the end");
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t tag = varint();
  ProtobufField field;
  field.number = tag >> 3;
  field.kind = static_cast<Kind>(tag & 7);
  switch (field.kind) {
    case Kind::kVarint:
      field.value = varint();
      return field;
    case Kind::kFixed64:
      field.value = little_endian(take(8));
      return field;
    case Kind::kBytes:
      field.bytes = take(varint());
      return field;
    case Kind::kFixed32:
      field.value = little_endian(take(4));
      return field;
  }
  damaged("a field is of an unknown kind");
}

void put_varint(std::string& message, uint64_t number, uint64_t value) {
  append_tag(message, number, Kind::kVarint);
  append_varint(message, value);
}

void put_float(std::string& message, uint64_t number, float value) {
  append_tag(message, number, Kind::kFixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) message += static_cast<char>(bits >> shift);
}

void put_bytes(std::string& message, uint64_t number, std::string_view bytes) {
  append_tag(message, number, Kind::kBytes);
  append_varint(message, bytes.size());
  message += bytes;
}

}  // namespace longwave::text
