// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace longwave::text {

/// One field of a message in Protocol Buffers' wire format.
struct ProtobufField {
  uint64_t number = 0;
  uint64_t value = 0;      ///< of a number; the bits of a fixed one
  std::string_view bytes;  ///< of a text, of bytes, of a message
  enum class Kind : uint8_t { kVarint, kFixed64, kBytes, kFixed32 = 5 } kind = Kind::kVarint;
};

/// Reads the fields of a message, one after the other, in bounds.
///
/// Source     protobuf.dev, "Encoding".
/// Errors     DataError for what is cut off or of a kind that the format no longer has.
class ProtobufReader {
 public:
  /// The message must outlive the reader; `where` names it in messages.
  ProtobufReader(std::string_view message, std::string_view where)
      : rest_(message), where_(where) {}

  /// The next field; nothing at the end.
  std::optional<ProtobufField> next();

 private:
  uint64_t varint();
  std::string_view take(uint64_t count);
  [[noreturn]] void damaged(const std::string& what) const;

  std::string_view rest_;
  std::string where_;
};

/// Adds fields to a message.
void put_varint(std::string& message, uint64_t number, uint64_t value);
void put_float(std::string& message, uint64_t number, float value);
void put_bytes(std::string& message, uint64_t number, std::string_view bytes);

}  // namespace longwave::text
