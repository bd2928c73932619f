// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/rounding/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "longwave/base/half.h"
#include "longwave/base/philox.h"

namespace longwave::ops {
namespace {

constexpr int64_t kCounts[] = {0, 1, 31, 32, 33, 64, 997, 100003};

/// Numbers of many magnitudes, with zeros of both signs.
std::vector<float> numbers(int64_t count) {
  Random random(7);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    const double magnitude = std::exp2(static_cast<double>(random.integer(80)) - 40);
    value = static_cast<float>(random.normal() * magnitude);
    if (random.integer(8) == 0) value = random.integer(2) == 0 ? 0.0f : -0.0f;
  }
  return values;
}

std::span<const float> group_of(const std::vector<float>& x, int64_t i) {
  const int64_t first = i / kRoundingGroup * kRoundingGroup;
  const int64_t count = std::min(kRoundingGroup, std::ssize(x) - first);
  return std::span(x).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST(Rounding, EqualsTheFormulaNumberByNumber) {
  for (const int64_t count : kCounts) {
    const std::vector<float> exact = numbers(count);
    std::vector<float> halves = exact, integers = exact, by_half = exact, by_integer = exact;
    round_to_bfloat16(halves);
    round_to_int8(integers);
    for (int64_t i = 0; i < count; ++i) {
      const float step = int8_step(group_of(exact, i));
      by_half[i] = from_bfloat16(to_bfloat16(exact[i]));
      by_integer[i] = static_cast<float>(int8_of(exact[i], step)) * step;
    }
    EXPECT_TRUE(same_bits(halves, by_half)) << count;
    EXPECT_TRUE(same_bits(integers, by_integer)) << count;
  }
}

TEST(Rounding, ErrorsStayWithinTheBound) {
  for (const int64_t count : kCounts) {
    const std::vector<float> exact = numbers(count);
    std::vector<float> halves = exact, integers = exact;
    round_to_bfloat16(halves);
    round_to_int8(integers);
    for (int64_t i = 0; i < count; ++i) {
      float most = 0;
      for (const float x : group_of(exact, i)) most = std::max(most, std::abs(x));
      ASSERT_LE(std::abs(halves[i] - exact[i]), std::abs(exact[i]) / 256) << i;
      ASSERT_LE(std::abs(integers[i] - exact[i]), most / 253) << i;
    }
  }
}

TEST(Rounding, TwiceIsOnce) {
  for (const auto round : {round_to_bfloat16, round_to_int8}) {
    std::vector<float> once = numbers(100003);
    round(once);
    std::vector<float> twice = once;
    round(twice);
    EXPECT_TRUE(same_bits(once, twice));
  }
}

TEST(Rounding, WhatIsNotFiniteIsNotHidden) {
  for (const auto round : {round_to_bfloat16, round_to_int8}) {
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      for (const int64_t count : {4, 32}) {
        std::vector<float> x(static_cast<size_t>(count), 1.0f);
        x[2] = bad;
        round(x);
        EXPECT_FALSE(std::isfinite(x[2]));
      }
    }
  }
}

}  // namespace
}  // namespace longwave::ops
