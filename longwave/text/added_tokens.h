// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/splitter.h"
#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// Added tokens, found in text: at each place the longest one counts, and is passed over whole
/// where it ought to stand alone and does not.
///
/// Source     huggingface/tokenizers, added_vocabulary.rs (find_matches).
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
      const std::string_view before = text.substr(0, at);
      at += token->content.size();
      if (token->alone && !alone(before, text.substr(at))) continue;
      size_t begin = before.size();
      if (token->takes_blanks_before) begin = without_blanks(before, done);
      if (begin > done) between(text.substr(done, begin - done));
      found(token->id);
      done = at + (token->takes_blanks_after ? blanks(text.substr(at)) : 0);
    }
    if (done < text.size()) between(text.substr(done));
  }

  /// The longest token that `text`, which is not empty, begins with.
  const AddedToken* at_front(std::string_view text) const;

 private:
  bool alone(std::string_view before, std::string_view after) const;

  /// Bytes of white space at the front.
  size_t blanks(std::string_view text) const;

  /// The size of a text without the white space at its end, from `least` on.
  size_t without_blanks(std::string_view text, size_t least) const;

  std::array<std::vector<AddedToken>, 256> by_byte_;  // by first byte, longest first
  std::optional<Splitter> word_, blank_;              // one character, if any token asks
};

}  // namespace longwave::text
