// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longwave::text {

/// Unicode's normal forms: letters and their marks as one character where there is one, or taken
/// apart; the compatible forms also write what only looks different alike.
enum class NormalForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };

/// The text in a normal form. Bytes that are not UTF-8 stay as they are.
std::string normal(std::string_view text, NormalForm form);

/// The text in small letters, each character for itself: a final sigma is one like others.
std::string lowercase(std::string_view text);

}  // namespace longwave::text
