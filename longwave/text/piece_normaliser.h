// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/added_tokens.h"
#include "longwave/text/charsmap.h"
#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// What SentencePiece does with a text before it looks for pieces: characters are mapped, blanks
/// become one or marks, pieces that the user defined stay, and bytes that are no text become
/// U+FFFD.
///
/// Source     google/sentencepiece, normalizer.cc.
/// Errors     DataError if the map is damaged.
/// Threads    const use is safe from many threads.
class PieceNormaliser {
 public:
  /// `kept` are the pieces that stay; `where` names the tokenizer in messages.
  PieceNormaliser(const PieceNormal& rules, AddedTokens kept, std::string_view where);

  /// The text, changed; in the middle of a text no blank is put before it.
  std::string operator()(std::string_view text, Place place) const;

 private:
  struct Prefix {
    size_t length;            // bytes of the text
    std::string_view normal;  // what they become
  };
  Prefix prefix(std::string_view text) const;

  PieceNormal rules_;
  AddedTokens kept_;
  Charsmap charsmap_;
};

}  // namespace longwave::text
