// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/spelling.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "longwave/base/error.h"

namespace longwave::text {

void append_bounded(std::string& text, std::string_view more, size_t limit) {
  if (more.size() > limit - std::min(limit, text.size())) {
    throw DataError({.where = "tokenizer",
                     .what = "its steps make a text too long",
                     .got = std::to_string(text.size()) + " bytes and more",
                     .fix = "the file is damaged, or was made to do harm"});
  }
  text += more;
}

std::string substituted(std::string_view text, const Substitute& substitute, size_t limit) {
  std::string result;
  for (size_t at = text.find(substitute.from); at != std::string_view::npos;
       at = text.find(substitute.from)) {
    append_bounded(result, text.substr(0, at), limit);
    append_bounded(result, substitute.to, limit);
    text.remove_prefix(at + substitute.from.size());
  }
  append_bounded(result, text, limit);
  return result;
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
