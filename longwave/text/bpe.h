// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longwave::text {

/// A merge of two neighbours into one token.
struct Merge {
  int32_t left = 0, right = 0, result = 0;
};

/// Byte-pair encoding of one word: begins with its bytes and merges the pair of neighbours of the
/// earliest rule, the leftmost of equals, until no rule fits.
///
/// Source     Sennrich et al. 2016, "Neural machine translation of rare words with subword units".
/// Cost       n log n for n bytes.
/// Threads    const use is safe from many threads.
class Bpe {
 public:
  static constexpr int32_t kNone = -1;
  using ByteIds = std::array<int32_t, 256>;

  Bpe() = default;

  /// The token of each byte (kNone if it has none) and the merges, earliest first.
  Bpe(const ByteIds& bytes, const std::vector<Merge>& merges);

  /// Adds the tokens of a word. Returns the first byte that has no token, or kNone.
  int32_t encode(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  struct Rule {
    int32_t rank, result;
  };
  const Rule* rule(int32_t left, int32_t right) const;

  ByteIds bytes_{};
  std::unordered_map<uint64_t, Rule> rules_;
};

}  // namespace longwave::text
