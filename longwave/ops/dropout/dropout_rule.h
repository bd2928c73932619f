// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "longwave/base/philox_block.h"

namespace longwave::ops {

/// Numbers of a mask that one call of philox gives.
inline constexpr int64_t kDropoutBlock = 4;

/// The rule of a mask of dropout, for kernels too: each number is 0 with probability `rate`, else
/// 1 / (1 - rate).
///
///   mask[i] = 0 where word i mod 4 of philox(seed, i / 4, place) is less than rate 2^32
template <typename T>
class DropoutRule {
 public:
  explicit DropoutRule(double rate)
      : least_(rate * 4294967296.0), keep_(static_cast<T>(1 / (1 - rate))) {}

  /// Numbers 4 i to 4 i + 3.
  constexpr std::array<T, kDropoutBlock> block(uint64_t seed, int64_t i, uint64_t place) const {
    const auto words = philox_block(seed, static_cast<uint64_t>(i), place);
    std::array<T, kDropoutBlock> numbers{};
    for (int64_t j = 0; j < kDropoutBlock; ++j) {
      numbers[j] = static_cast<double>(words[j]) >= least_ ? keep_ : T(0);
    }
    return numbers;
  }

 private:
  double least_;
  T keep_;
};

}  // namespace longwave::ops
