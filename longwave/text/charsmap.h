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

  /// What the longest text at the front that is replaced becomes; nothing if all stay.
  std::optional<Found> at_front(std::string_view text) const;

  /// The same for the shortest, as Hugging Face's reader looks it up.
  std::optional<Found> shortest_at_front(std::string_view text) const;

 private:
  /// Gives what is replaced at the front to `take`, the shortest first, until that returns false.
  template <typename Take>
  void each_at_front(std::string_view text, const Take& take) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace longwave::text
