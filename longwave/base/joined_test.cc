// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/joined.h"

#include <gtest/gtest.h>

#include <vector>

namespace longwave {
namespace {

TEST(Joined, PutsTheSeparatorBetweenAndNowhereElse) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(joined(Words{}, ", "), "");
  EXPECT_EQ(joined(Words{"one"}, ", "), "one");
  EXPECT_EQ(joined(Words{"", "two", ""}, ", "), ", two, ");
}

TEST(Joined, WritesEveryDigitOfNumbers) {
  EXPECT_EQ(joined(std::vector<int64_t>{INT64_MIN, 0, INT64_MAX}, " "),
            "-9223372036854775808 0 9223372036854775807");
}

}  // namespace
}  // namespace longwave
