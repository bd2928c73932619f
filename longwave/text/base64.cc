// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/base64.h"

#include <cstdint>

namespace longwave::text {

std::optional<std::string> bytes_of_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char each : text) {
    const size_t digit = kDigits.find(each);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>((bits >> count) & 0xFF);
  }
  // What is left of the last digit must be nothing.
  if ((bits & ((uint32_t{1} << count) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace longwave::text
