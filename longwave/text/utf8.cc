// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace longwave::text {
namespace {

/// What a first byte allows: the length, and the range of the second byte.
struct Lead {
  size_t length;
  uint8_t least, most;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// How many bytes at the front fit the character that the first one begins.
size_t fitting(std::string_view text, const Lead& lead) {
  size_t count = 1;
  for (; count < std::min(lead.length, text.size()); ++count) {
    const auto byte = static_cast<uint8_t>(text[count]);
    const uint8_t least = count == 1 ? lead.least : 0x80, most = count == 1 ? lead.most : 0xBF;
    if (byte < least || byte > most) break;
  }
  return count;
}

}  // namespace

size_t character_length(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  return lead.length > 0 && fitting(text, lead) == lead.length ? lead.length : 0;
}

char32_t character(std::string_view text) {
  static constexpr std::array<uint8_t, 5> kMask = {0, 0x7F, 0x1F, 0x0F, 0x07};
  const size_t length = character_length(text);
  auto number = static_cast<char32_t>(static_cast<uint8_t>(text[0]) & kMask[length]);
  for (size_t i = 1; i < length; ++i) {
    number = (number << 6) | static_cast<char32_t>(static_cast<uint8_t>(text[i]) & 0x3F);
  }
  return number;
}

void append_character(std::string& text, char32_t character) {
  const auto tail = [character](int shift) {
    return static_cast<char>(0x80 | ((character >> shift) & 0x3F));
  };
  if (character < 0x80) {
    text += static_cast<char>(character);
  } else if (character < 0x800) {
    text += {static_cast<char>(0xC0 | (character >> 6)), tail(0)};
  } else if (character < 0x10000) {
    text += {static_cast<char>(0xE0 | (character >> 12)), tail(6), tail(0)};
  } else {
    text += {static_cast<char>(0xF0 | (character >> 18)), tail(12), tail(6), tail(0)};
  }
}

size_t whole_characters(std::string_view text) {
  constexpr size_t kLongest = 4;
  for (size_t back = 1; back < std::min(kLongest, text.size() + 1); ++back) {
    const std::string_view end = text.substr(text.size() - back);
    const Lead lead = lead_of(static_cast<uint8_t>(end[0]));
    if (lead.length > back && fitting(end, lead) == back) return text.size() - back;
  }
  return text.size();
}

std::string showable(std::string_view text) {
  constexpr char32_t kReplacement = 0xFFFD;
  std::string result;
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length > 0) {
      result += text.substr(0, length);
    } else {
      append_character(result, kReplacement);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

}  // namespace longwave::text
