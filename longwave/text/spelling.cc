// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/spelling.h"

#include <fmt/format.h>

#include <charconv>

namespace longwave::text {

std::string substituted(std::string_view text, const Substitute& substitute) {
  std::string result;
  for (size_t at = text.find(substitute.from); at != std::string_view::npos;
       at = text.find(substitute.from)) {
    result += text.substr(0, at);
    result += substitute.to;
    text.remove_prefix(at + substitute.from.size());
  }
  return result += text;
}

std::optional<char> named_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const char* end = token.data() + 5;
  const auto [rest, error] = std::from_chars(token.data() + 3, end, byte, 16);
  if (error != std::errc() || rest != end) return std::nullopt;
  return static_cast<char>(byte);
}

std::string byte_name(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace longwave::text
