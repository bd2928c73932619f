// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "longwave/base/testing/tolerance.h"

namespace longwave::ops::testing {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// Compares two arrays: every number is a sum of `terms` products at most, none larger than the
/// largest expected number, or 1.
template <typename T, typename A, typename B>
::testing::AssertionResult agree(const std::string& what, const std::vector<A>& expected,
                                 const std::vector<B>& got, int64_t terms) {
  double largest = 1;
  for (const A& x : expected) largest = std::max<double>(largest, std::abs(x));
  const Tolerance bound = Tolerance::sum<T>(terms, largest);
  Worst worst(what);
  if (expected.size() != got.size()) return ::testing::AssertionFailure() << what << ": sizes";
  if (got.empty()) return ::testing::AssertionSuccess();
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  return worst.ok();
}

}  // namespace longwave::ops::testing
