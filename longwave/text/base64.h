// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longwave::text {

/// The bytes that a text in base64 spells; nothing if it spells none.
std::optional<std::string> bytes_of_base64(std::string_view text);

}  // namespace longwave::text
