// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/data/testing/fuzz_targets.h"

namespace longwave::testing {
namespace {

constexpr int64_t kRounds = 10000;

TEST(FuzzReplay, IdxSurvivesMutation) { replay(idx_seeds(), kRounds, fuzz_idx); }
TEST(FuzzReplay, CsvSurvivesMutation) { replay(csv_seeds(), kRounds, fuzz_csv); }
TEST(FuzzReplay, WavSurvivesMutation) { replay(wav_seeds(), kRounds, fuzz_wav); }

TEST(FuzzReplay, SeedsAreSound) {
  for (const Bytes& seed : idx_seeds()) {
    EXPECT_NO_THROW(static_cast<void>(data::parse_idx(seed, "seed")));
  }
  for (const Bytes& seed : wav_seeds()) {
    EXPECT_NO_THROW(static_cast<void>(data::parse_wav(seed, "seed")));
  }
  EXPECT_NO_THROW(static_cast<void>(data::parse_csv(csv_seeds().front(), "seed")));
}

}  // namespace
}  // namespace longwave::testing
