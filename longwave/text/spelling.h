// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// Bytes that a text of so many may become by the steps of a tokenizer.
constexpr size_t growth_limit(size_t bytes) { return (size_t{1} << 20) + 64 * bytes; }

/// Adds to a text that steps of a stranger's file make.
///
/// Errors     DataError if it would become longer than `limit`.
void append_bounded(std::string& text, std::string_view more, size_t limit);

/// The text with `to` for every `from`, which must not be empty.
///
/// Errors     DataError if it would become longer than `limit`.
std::string substituted(std::string_view text, const Substitute& substitute, size_t limit);

/// The byte that a token such as "<0x0A>" names.
std::optional<char> named_byte(std::string_view token);

/// The name of a byte: "<0x0A>".
std::string byte_name(uint8_t byte);

}  // namespace longwave::text
