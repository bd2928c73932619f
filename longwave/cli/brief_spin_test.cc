// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/brief_spin.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace longwave::cli {
namespace {

TEST(BriefSpin, LeavesAloneWhatTheUserSets) {
  const char* before = std::getenv("GOMP_SPINCOUNT");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("GOMP_SPINCOUNT", "77", 1);
  spin_briefly(nullptr);  // would start the program again
  spin_as_usual();
  EXPECT_STREQ(std::getenv("GOMP_SPINCOUNT"), "77");
  ::setenv("GOMP_SPINCOUNT", "3000", 1);
  spin_as_usual();
  EXPECT_EQ(std::getenv("GOMP_SPINCOUNT"), nullptr) << "what the program had set itself";
  if (before != nullptr) ::setenv("GOMP_SPINCOUNT", kept.c_str(), 1);
}

}  // namespace
}  // namespace longwave::cli
