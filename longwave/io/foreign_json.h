// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "longwave/io/config_file.h"

namespace longwave::io {

/// The single values of a JSON object that another program wrote, in the order of the text.
///
/// Keys are the path with dots; entries of lists go by their number: {"a": [0.5, {"b": 1}]} gives
/// "a.0" = 0.5 and "a.1.b" = 1. What is null, and what is empty, gives nothing. Python's NaN,
/// Infinity and -Infinity become those words as text. Lines are not known (0).
///
/// Errors     ConfigError at "where:line" for what is not JSON, integers beyond 64 bits, keys that
///            appear twice, and more than 32 levels.
std::vector<Setting> parse_foreign_json(std::string_view text, std::string_view where);

/// The opposite: indented JSON, in which keys that are numbers make lists.
///
/// Errors     ConfigError if a text is not UTF-8 or a number is not finite.
std::string format_foreign_json(const std::vector<Setting>& settings);

}  // namespace longwave::io
