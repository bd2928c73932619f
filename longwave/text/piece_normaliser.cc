// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/piece_normaliser.h"

#include <utility>

#include "longwave/text/spelling.h"
#include "longwave/text/utf8.h"

namespace longwave::text {

PieceNormaliser::PieceNormaliser(const PieceNormal& rules, AddedTokens kept, std::string_view where)
    : rules_(rules), kept_(std::move(kept)), charsmap_(rules.charsmap, where) {}

PieceNormaliser::Prefix PieceNormaliser::prefix(std::string_view text) const {
  if (const AddedToken* token = kept_.at_front(text)) {
    return {token->content.size(), token->content};
  }
  if (const auto found = charsmap_.at_front(text)) return {found->length, found->replacement};
  const size_t length = character_length(text);
  if (length == 0) return {1, "\xef\xbf\xbd"};
  return {length, text.substr(0, length)};
}

std::string PieceNormaliser::operator()(std::string_view text, Place place) const {
  // In the middle of a text the blanks at the beginning count.
  const bool begins = place == Place::kStart;
  if (rules_.single_blanks && begins) {
    while (!text.empty()) {
      const Prefix first = prefix(text);
      if (first.normal != " ") break;
      text.remove_prefix(first.length);
    }
  }
  if (text.empty()) return {};
  const std::string_view blank = rules_.marks ? kBlankMark : " ";
  const size_t limit = growth_limit(text.size());
  std::string result;
  if (rules_.blank_first && begins) result += blank;
  bool after_blank = rules_.single_blanks && begins;
  while (!text.empty()) {
    auto [length, normal] = prefix(text);
    text.remove_prefix(length);
    while (after_blank && normal.starts_with(' ')) normal.remove_prefix(1);
    for (const char each : normal) {
      append_bounded(result, each == ' ' ? blank : std::string_view(&each, 1), limit);
    }
    if (!normal.empty()) after_blank = rules_.single_blanks && normal.ends_with(' ');
  }
  while (rules_.single_blanks && result.ends_with(blank)) {
    result.resize(result.size() - blank.size());
  }
  return result;
}

}  // namespace longwave::text
