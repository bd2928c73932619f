// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::text::jinja {

/// The characters of a text; a byte that belongs to none stands alone.
std::vector<std::string_view> characters_of(std::string_view text);

/// What a letter becomes.
enum class Case : uint8_t { kUpper, kLower, kTitle, kFirst };

/// As Python's str.upper(), lower(), title() and capitalize(), a character at a time.
std::string with_case(std::string_view text, Case kind);

/// As Python's str.strip(characters); white space if none are given.
enum class Side : uint8_t { kBoth, kLeft, kRight };
std::string_view stripped(std::string_view text, Side side, std::string_view characters = {});

/// As Python's str.replace().
std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     int64_t most);

/// As Python's str.split(separator, most); runs of white space without a separator.
std::vector<std::string> split_at(std::string_view text, std::string_view separator, int64_t most);

}  // namespace longwave::text::jinja
