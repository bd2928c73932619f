// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::text {

/// Characters and what they become, as SentencePiece compiles it: a double array that finds the
/// longest text that is replaced, and the replacements, each ended by a zero.
///
/// Source     google/sentencepiece, normalizer.cc; s-yata/darts-clone.
/// Errors     DataError if sizes disagree. Whatever the bytes say nothing outside is read.
/// Threads    const use is safe from many threads.
class Charsmap {
 public:
  struct Found {
    size_t length = 0;  ///< bytes of the text that are replaced
    std::string_view replacement;
  };

  Charsmap() = default;
  Charsmap(std::string_view bytes, std::string_view where);

  /// What the text at the front becomes; nothing if it stays.
  std::optional<Found> at_front(std::string_view text) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace longwave::text
