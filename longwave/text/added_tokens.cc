// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/added_tokens.h"

#include <algorithm>

namespace longwave::text {

AddedTokens::AddedTokens(const std::vector<AddedToken>& tokens, AddedToken::Match match) {
  for (const AddedToken& token : tokens) {
    if (token.match != match || token.content.empty()) continue;
    by_byte_[static_cast<uint8_t>(token.content.front())].push_back(token);
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

}  // namespace longwave::text
