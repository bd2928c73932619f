// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace longwave::text {

/// A merge of two neighbours into one token.
struct Merge {
  int32_t left = 0, right = 0, result = 0;
};

/// Byte-pair encoding of one word: begins with the tokens of its bytes or characters and merges the
/// pair of neighbours of the earliest rule, the leftmost of equals, until no rule fits.
///
/// Source     Sennrich et al. 2016, "Neural machine translation of rare words with subword units".
/// Cost       n log n for n parts.
/// Threads    const use is safe from many threads.
class Bpe {
 public:
  Bpe() = default;

  /// The merges, earliest first.
  explicit Bpe(const std::vector<Merge>& merges);

  /// Adds the tokens that the parts of a word are merged to.
  void encode(std::span<const int32_t> word, std::vector<int64_t>& ids) const;

 private:
  struct Rule {
    int32_t rank, result;
  };
  const Rule* rule(int32_t left, int32_t right) const;

  std::unordered_map<uint64_t, Rule> rules_;
};

}  // namespace longwave::text
