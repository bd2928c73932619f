// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// Added tokens, found in text: at each place the longest one counts.
///
/// Threads    const use is safe from many threads.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// Those of one kind.
  AddedTokens(const std::vector<AddedToken>& tokens, AddedToken::Match match);

  /// Gives what lies between the tokens to `between`, and their ids to `found`, in order.
  template <typename Between, typename Found>
  void cut(std::string_view text, const Between& between, const Found& found) const {
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
      const AddedToken* token = at_front(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      if (at > done) between(text.substr(done, at - done));
      found(token->id);
      done = at += token->content.size();
    }
    if (done < text.size()) between(text.substr(done));
  }

  /// The longest token that `text`, which is not empty, begins with.
  const AddedToken* at_front(std::string_view text) const;

 private:
  std::array<std::vector<AddedToken>, 256> by_byte_;  // by first byte, longest first
};

}  // namespace longwave::text
