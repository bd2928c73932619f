// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longwave::text {

/// Bytes of the character at the front of `text`: 1 to 4, or 0 if none stands there. Overlong
/// forms, surrogates and numbers above 10FFFF are no characters.
size_t character_length(std::string_view text);

/// The number of the character at the front, whose length must not be 0.
char32_t character(std::string_view text);

/// Adds a character as UTF-8.
void append_character(std::string& text, char32_t character);

/// Bytes at the front that can be shown now: all of them but the beginning of a character whose
/// rest is still to come. Bytes that can never become a character count as shown.
size_t whole_characters(std::string_view text);

/// The text with U+FFFD for every byte that belongs to no character, so that it can be shown.
std::string showable(std::string_view text);

}  // namespace longwave::text
