// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/permutation.h"

#include <bit>
#include <utility>

#include "longwave/base/assert.h"
#include "longwave/base/error.h"
#include "longwave/base/philox.h"

namespace longwave::data {

Permutation::Permutation(int64_t size, uint64_t seed, uint64_t stream)
    : size_(size), seed_(seed), stream_(stream), half_bits_(0) {
  require(size >= 1, "permutation", "it must have at least one entry");
  half_bits_ = (std::bit_width(static_cast<uint64_t>(size) - 1) + 1) / 2;
}

uint64_t Permutation::permuted(uint64_t value) const {
  constexpr uint64_t kRounds = 6;
  constexpr int kRoundShift = 56;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const auto words = philox(seed_, right | round << kRoundShift, stream_);
    left ^= words[0] & mask;
    std::swap(left, right);
  }
  return left << half_bits_ | right;
}

int64_t Permutation::operator()(int64_t index) const {
  LONGWAVE_ASSERT(index >= 0 && index < size_, "entry outside the permutation");
  uint64_t value = static_cast<uint64_t>(index);
  do {
    value = permuted(value);
  } while (value >= static_cast<uint64_t>(size_));
  return static_cast<int64_t>(value);
}

}  // namespace longwave::data
