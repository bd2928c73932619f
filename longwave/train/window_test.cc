// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/window.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace longwave::train {
namespace {

constexpr auto kSize = static_cast<int>(Window::kSize);

TEST(Window, SaysNothingUntilItIsFull) {
  Window window;
  for (int i = 1; i < kSize; ++i) EXPECT_FALSE(window.add(i).has_value()) << i;
  EXPECT_TRUE(window.add(kSize).has_value());
}

TEST(Window, CountsDeviationsAmongTheLastNumbers) {
  // Of n numbers 0, ..., 0, 1 the mean is 1/n and the variance (n - 1)/n^2, so z = sqrt(n - 1).
  Window window;
  for (int i = 0; i < 3; ++i) window.add(1e6);
  for (int i = 0; i + 1 < kSize; ++i) window.add(0);
  const double z = window.add(1).value();
  EXPECT_NEAR(z, std::sqrt(kSize - 1.0), kSize * std::numeric_limits<double>::epsilon() * z);
  EXPECT_EQ(window.values().size(), Window::kSize);
}

TEST(Window, EqualNumbersDeviateByNothing) {
  Window window;
  for (int i = 0; i + 1 < kSize; ++i) window.add(0.25);
  EXPECT_EQ(window.add(0.25), 0.0);
}

TEST(Window, NumbersThatAreNotFiniteStayOut) {
  Window window;
  for (int i = 0; i < kSize; ++i) window.add(i);
  const std::vector<double> before = window.values();
  EXPECT_FALSE(window.add(std::numeric_limits<double>::quiet_NaN()).has_value());
  EXPECT_FALSE(window.add(std::numeric_limits<double>::infinity()).has_value());
  EXPECT_EQ(window.values(), before);
}

}  // namespace
}  // namespace longwave::train
