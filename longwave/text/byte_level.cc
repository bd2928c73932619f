// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/byte_level.h"

#include <cstdint>
#include <map>

#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::array<char32_t, 256> numbers() {
  std::array<char32_t, 256> result{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    result[static_cast<size_t>(byte)] =
        stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return result;
}

}  // namespace

const std::array<std::string, 256>& byte_characters() {
  static const std::array<std::string, 256> kCharacters = [] {
    std::array<std::string, 256> result;
    const std::array<char32_t, 256> each = numbers();
    for (size_t byte = 0; byte < result.size(); ++byte) append_character(result[byte], each[byte]);
    return result;
  }();
  return kCharacters;
}

std::optional<std::string> bytes_of_characters(std::string_view characters) {
  static const std::map<char32_t, char> kBytes = [] {
    std::map<char32_t, char> result;
    const std::array<char32_t, 256> each = numbers();
    for (size_t byte = 0; byte < each.size(); ++byte) {
      result.emplace(each[byte], static_cast<char>(byte));
    }
    return result;
  }();
  std::string bytes;
  while (!characters.empty()) {
    const size_t length = character_length(characters);
    if (length == 0) return std::nullopt;
    const auto found = kBytes.find(character(characters));
    if (found == kBytes.end()) return std::nullopt;
    bytes += found->second;
    characters.remove_prefix(length);
  }
  return bytes;
}

std::string characters_of_bytes(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) characters += byte_characters()[static_cast<uint8_t>(byte)];
  return characters;
}

}  // namespace longwave::text
