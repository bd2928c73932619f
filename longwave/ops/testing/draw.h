// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace longwave::testing {

/// `count` results of draw(). Past the first 65521 (a prime) they repeat: drawing the millions that
/// a benchmark takes would last longer than the benchmark.
template <typename Draw>
auto drawn(int64_t count, const Draw& draw) {
  constexpr int64_t kPeriod = 65521;
  std::vector<decltype(draw())> result;
  result.reserve(count);
  for (int64_t i = 0; i < std::min(count, kPeriod); ++i) result.push_back(draw());
  for (int64_t i = kPeriod; i < count; ++i) result.push_back(result[i - kPeriod]);
  return result;
}

}  // namespace longwave::testing
