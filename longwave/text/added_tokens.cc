// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/added_tokens.h"

#include <algorithm>

#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

/// The character that a text ends with, or its last byte.
std::string_view last_character(std::string_view text) {
  constexpr size_t kLongest = 4;
  for (size_t size = 1; size <= std::min(kLongest, text.size()); ++size) {
    const std::string_view end = text.substr(text.size() - size);
    if (character_length(end) == size) return end;
  }
  return text.substr(text.size() - 1);
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, AddedToken::Match match) {
  for (const AddedToken& token : tokens) {
    if (token.match != match || token.content.empty()) continue;
    by_byte_[static_cast<uint8_t>(token.content.front())].push_back(token);
    if (token.alone && !word_) word_.emplace(kWordCharacter, "added tokens");
    const bool strips = token.takes_blanks_before || token.takes_blanks_after;
    if (strips && !blank_) blank_.emplace(kWhiteSpace, "added tokens");
  }
  for (std::vector<AddedToken>& same : by_byte_) {
    std::ranges::stable_sort(same, [](const AddedToken& a, const AddedToken& b) {
      return a.content.size() > b.content.size();
    });
  }
}

const AddedToken* AddedTokens::at_front(std::string_view text) const {
  for (const AddedToken& token : by_byte_[static_cast<uint8_t>(text.front())]) {
    if (text.starts_with(token.content)) return &token;
  }
  return nullptr;
}

bool AddedTokens::alone(std::string_view before, std::string_view after) const {
  const bool goes_on = !before.empty() && word_->is_match(last_character(before));
  return !goes_on && !word_->is_match(after.substr(0, character_length(after)));
}

size_t AddedTokens::blanks(std::string_view text) const {
  size_t size = 0;
  while (const size_t length = character_length(text.substr(size))) {
    if (!blank_->is_match(text.substr(size, length))) break;
    size += length;
  }
  return size;
}

size_t AddedTokens::without_blanks(std::string_view text, size_t least) const {
  while (text.size() > least && blank_->is_match(last_character(text))) {
    text.remove_suffix(last_character(text).size());
  }
  return std::max(text.size(), least);
}

}  // namespace longwave::text
