// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::text::jinja {

/// A word of a template.
struct Token {
  enum class Kind : uint8_t {
    kData,      ///< text outside of all braces
    kOutBegin,  ///< {{
    kOutEnd,    ///< }}
    kTagBegin,  ///< {%
    kTagEnd,    ///< %}
    kName,
    kString,
    kInteger,
    kReal,
    kSign,  ///< an operator or a bracket
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text = {};
  int64_t line = 1;
};

/// Cuts a template into words, with trim_blocks and lstrip_blocks set, as chat templates expect:
/// the line end after a tag and the blanks before one that begins a line are gone.
///
/// Errors     DataError at "where:line".
std::vector<Token> lex(std::string_view source, std::string_view where);

}  // namespace longwave::text::jinja
