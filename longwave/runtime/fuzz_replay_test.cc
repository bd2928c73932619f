// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/runtime/testing/fuzz_targets.h"

namespace longwave::testing {
namespace {

constexpr int64_t kRounds = 3000;

TEST(FuzzReplay, StatesSurviveMutation) { replay(state_seeds(), kRounds, fuzz_state); }
TEST(FuzzReplay, ModelConfigsSurviveMutation) {
  replay(model_config_seeds(), kRounds, fuzz_model_config);
}

TEST(FuzzReplay, SeedsAreSound) {
  for (const Bytes& seed : state_seeds()) EXPECT_NO_THROW(runtime::parse_state(seed, "seed"));
  for (const Bytes& seed : model_config_seeds()) {
    const std::string text(reinterpret_cast<const char*>(seed.data()), seed.size());
    EXPECT_NO_THROW(runtime::parse_model_config(text, "seed"));
  }
}

}  // namespace
}  // namespace longwave::testing
