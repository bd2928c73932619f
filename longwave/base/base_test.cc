// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/base/philox.h"

namespace longwave {
namespace {

// Known answers of the reference distribution Random123 1.09, kat_vectors: philox4x32 10.
TEST(Philox, MatchesPublished) {
  const std::array<uint32_t, 4> zeros = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  const std::array<uint32_t, 4> ones = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  EXPECT_EQ(philox(0, 0, 0), zeros);
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), ones);
}

}  // namespace
}  // namespace longwave
