// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Normal numbers as T holds them.
template <typename T>
std::vector<double> noise(int64_t count, uint64_t stream) {
  Random random(1, stream);
  std::vector<double> numbers;
  for (int64_t i = 0; i < count; ++i) {
    numbers.push_back(static_cast<float>(static_cast<T>(static_cast<float>(random.normal()))));
  }
  return numbers;
}

/// Expects no more than the rounding of float32 sums of `terms` products that are at most `largest`
/// or the largest number, and of the number itself where it leaves as T.
template <typename T>
void expect_close(const std::string& what, const std::vector<double>& expected,
                  const std::vector<double>& got, int64_t terms, double largest = 1) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (got.empty()) return;
  for (const double x : expected) largest = std::max(largest, std::abs(x));
  longwave::testing::Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    auto bound = longwave::testing::Tolerance::sum<float>(terms, largest);
    bound.bound += rounding<T>(expected[i]);
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  EXPECT_TRUE(worst.ok());
}

}  // namespace longwave::ops::testing
