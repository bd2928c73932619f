// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// The text with `to` for every `from`, which must not be empty.
std::string substituted(std::string_view text, const Substitute& substitute);

/// The byte that a token such as "<0x0A>" names.
std::optional<char> named_byte(std::string_view token);

/// The name of a byte: "<0x0A>".
std::string byte_name(uint8_t byte);

}  // namespace longwave::text
