// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "longwave/base/error.h"

namespace longwave {
namespace {

// Known answers of Random123's distribution for philox4x32 with 10 rounds.
TEST(Philox, MatchesPublished) {
  const std::array<uint32_t, 4> zeros = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  const std::array<uint32_t, 4> ones = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  EXPECT_EQ(philox(0, 0, 0), zeros);
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), ones);
}

TEST(Random, ContinuesFromItsPosition) {
  Random whole(7, stream_id("weights"));
  std::vector<uint64_t> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(whole.bits());
  Random first(7, stream_id("weights"));
  for (int i = 0; i < 13; ++i) EXPECT_EQ(first.bits(), expected[i]);
  Random second(first.position());
  for (int i = 13; i < 20; ++i) EXPECT_EQ(second.bits(), expected[i]);
}

TEST(Random, StreamsAndSeedsDiffer) {
  EXPECT_NE(Random(1, 1).bits(), Random(1, 2).bits());
  EXPECT_NE(Random(1, 1).bits(), Random(2, 1).bits());
  EXPECT_NE(stream_id("a"), stream_id("b"));
}

// Moments of 40,000 draws lie within five standard errors of those of the distribution.
TEST(Random, MomentsMatchTheDistribution) {
  constexpr int kDraws = 40000;
  Random random(3);
  double sum = 0, squares = 0, uniform_sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform_sum += u;
  }
  const double five_errors = 5 / std::sqrt(kDraws);
  EXPECT_NEAR(sum / kDraws, 0, five_errors);
  EXPECT_NEAR(squares / kDraws, 1, five_errors * std::sqrt(2));
  EXPECT_NEAR(uniform_sum / kDraws, 0.5, five_errors / std::sqrt(12));
}

TEST(Random, IntegersCoverTheirRangeEvenly) {
  constexpr int64_t kRange = 7, kDraws = 70000;
  Random random(11);
  std::map<int64_t, int64_t> counts;
  for (int64_t i = 0; i < kDraws; ++i) ++counts[random.integer(kRange)];
  ASSERT_EQ(counts.size(), kRange);
  EXPECT_EQ(counts.begin()->first, 0);
  const double expected = static_cast<double>(kDraws) / kRange;
  for (const auto& [value, count] : counts) {
    EXPECT_NEAR(static_cast<double>(count), expected, 5 * std::sqrt(expected)) << value;
  }
  EXPECT_EQ(Random(1).integer(1), 0);
  EXPECT_THROW(Random(1).integer(0), InvalidArgument);
}

}  // namespace
}  // namespace longwave
