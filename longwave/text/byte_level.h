// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace longwave::text {

/// The character that stands for each byte in byte-level vocabularies, as UTF-8: printable Latin-1
/// characters stand for themselves, the other bytes in ascending order for U+0100, U+0101, ...
///
/// Source     Radford et al. 2019 (GPT-2), bytes_to_unicode.
const std::array<std::string, 256>& byte_characters();

/// The bytes that a text of such characters stands for; nothing if it holds any other.
std::optional<std::string> bytes_of_characters(std::string_view characters);

/// The characters that stand for bytes.
std::string characters_of_bytes(std::string_view bytes);

}  // namespace longwave::text
