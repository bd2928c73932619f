// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "longwave/text/piece_normaliser.h"
#include "longwave/text/precompiled_map.h"
#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// The changes of a text before it is cut into words.
///
/// Errors     DataError if a pattern does not compile, or gives up on a text.
/// Threads    const use is safe from many threads.
class Normaliser {
 public:
  /// `where` names the tokenizer in messages.
  Normaliser(const TokenizerSpec& spec, std::string_view where);

  /// The section of a text, changed; in the middle of a text nothing is put before it.
  std::string operator()(std::string_view section, Place place) const;

 private:
  /// What a match becomes.
  struct Exchange {
    enum class Match : uint8_t { kLost, kKept };
    Splitter pattern;
    std::string before;
    Match match = Match::kLost;
    std::string after = {};
    void operator()(std::string& text, size_t limit) const;
  };
  std::vector<std::variant<NormalForm, Prepend, Exchange, Lowercase, ByteCharacters, PrecompiledMap,
                           PieceNormaliser>>
      steps_;
};

}  // namespace longwave::text
