// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::data {

/// A random order of {0, ..., size - 1}, a pure function of (size, seed, stream): entry `i` costs
/// O(1) and no memory, so that a shuffled epoch can be entered anywhere.
///
///   a Feistel network with Philox as its round function permutes the least 4^k >= size; walking on
///   from entries that are too large (cycle walking) permutes the range itself
///
/// Source     Black & Rogaway 2002, "Ciphers with arbitrary finite domains".
/// Numerics   integer arithmetic only: the same order everywhere.
/// Cost       about 6 Philox calls an entry, at worst 24 on average (size just above 4^k).
/// Errors     InvalidArgument if size < 1.
/// Threads    a plain value; const use is safe from many threads.
class Permutation {
 public:
  Permutation(int64_t size, uint64_t seed, uint64_t stream);

  int64_t size() const { return size_; }

  /// What stands at `index`, which must be in the range.
  int64_t operator()(int64_t index) const;

 private:
  uint64_t permuted(uint64_t value) const;

  int64_t size_;
  uint64_t seed_, stream_;
  int half_bits_;
};

}  // namespace longwave::data
