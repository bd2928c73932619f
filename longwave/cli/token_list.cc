// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/token_list.h"

#include <charconv>
#include <string>

#include "longwave/base/error.h"

namespace longwave::cli {

std::vector<int64_t> token_list(std::string_view text, std::string_view where) {
  constexpr std::string_view kBetween = ", \t\r\n";
  std::vector<int64_t> tokens;
  while (true) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return tokens;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    int64_t token = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), token);
    if (error != std::errc() || end != word.data() + word.size() || token < 0) {
      throw DataError({.where = std::string(where),
                       .what = "this is no token's number",
                       .got = "\"" + std::string(word.substr(0, 40)) + "\"",
                       .fix = "write whole numbers from 0, with commas or blanks between"});
    }
    tokens.push_back(token);
    text.remove_prefix(word.size());
  }
}

}  // namespace longwave::cli
