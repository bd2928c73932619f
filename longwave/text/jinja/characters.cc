// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>

#include "longwave/text/utf8.h"

namespace longwave::text::jinja {
namespace {

bool is_blank(std::string_view one) {
  if (character_length(one) == 0) return false;
  const char32_t c = character(one);
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x2028 ||
         c == 0x2029 || utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ZS;
}

bool is_letter(char32_t c) {
  const auto kind = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

}  // namespace

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  while (!text.empty()) {
    const size_t length = std::max<size_t>(character_length(text), 1);
    characters.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return characters;
}

std::string with_case(std::string_view text, Case kind) {
  std::string result;
  bool begins = true;
  for (const std::string_view one : characters_of(text)) {
    if (character_length(one) == 0) {
      result += one;
      continue;
    }
    const auto c = static_cast<utf8proc_int32_t>(character(one));
    const bool upper = kind == Case::kUpper || (kind != Case::kLower && begins);
    append_character(result,
                     static_cast<char32_t>(upper ? utf8proc_toupper(c) : utf8proc_tolower(c)));
    begins = kind == Case::kTitle && !is_letter(static_cast<char32_t>(c));
  }
  return result;
}

std::string_view stripped(std::string_view text, Side side, std::string_view characters) {
  const std::vector<std::string_view> of = characters_of(characters);
  const auto goes = [&](std::string_view one) {
    return of.empty() ? is_blank(one) : std::ranges::find(of, one) != of.end();
  };
  const std::vector<std::string_view> all = characters_of(text);
  size_t begin = 0, end = all.size();
  while (side != Side::kRight && begin < end && goes(all[begin])) ++begin;
  while (side != Side::kLeft && end > begin && goes(all[end - 1])) --end;
  if (begin == end) return {};
  return text.substr(
      static_cast<size_t>(all[begin].data() - text.data()),
      static_cast<size_t>(all[end - 1].data() + all[end - 1].size() - all[begin].data()));
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to,
                     int64_t most) {
  std::string result;
  if (from.empty()) return std::string(text);
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    const size_t found = text.find(from);
    if (found == std::string_view::npos) break;
    result.append(text.substr(0, found)).append(to);
    text.remove_prefix(found + from.size());
  }
  return result.append(text);
}

std::vector<std::string> split_at(std::string_view text, std::string_view separator, int64_t most) {
  std::vector<std::string> parts;
  const auto enough = [&] { return most >= 0 && static_cast<int64_t>(parts.size()) >= most; };
  if (!separator.empty()) {
    for (size_t found; !enough() && (found = text.find(separator)) != std::string_view::npos;) {
      parts.emplace_back(text.substr(0, found));
      text.remove_prefix(found + separator.size());
    }
    parts.emplace_back(text);
    return parts;
  }
  text = stripped(text, Side::kLeft);
  while (!text.empty()) {
    if (enough()) {
      parts.emplace_back(stripped(text, Side::kRight));
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_blank(text.substr(end))) {
      end += std::max<size_t>(character_length(text.substr(end)), 1);
    }
    parts.emplace_back(text.substr(0, end));
    text = stripped(text.substr(end), Side::kLeft);
  }
  return parts;
}

}  // namespace longwave::text::jinja
