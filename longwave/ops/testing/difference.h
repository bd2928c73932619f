// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <vector>

namespace longwave::testing {

/// The largest difference of two arrays, over the length of the exact one, as a share of the
/// largest exact number: by it a benchmark decides whether a kernel may be timed. Infinite where
/// something is missing or no number.
template <typename Exact, typename Got>
double relative_difference(const std::vector<Exact>& exact, const std::vector<Got>& got) {
  double worst = 0, largest = std::numeric_limits<double>::min();
  if (got.size() < exact.size()) return std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < exact.size(); ++i) {
    const double difference = std::abs(Exact(got[i]) - exact[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, difference);
    largest = std::max<double>(largest, std::abs(exact[i]));
  }
  return worst / largest;
}

}  // namespace longwave::testing
