// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/text/testing/fuzz_targets.h"

namespace longwave::testing {
namespace {

TEST(FuzzReplay, TokenizerSurvivesMutation) { replay(tokenizer_seeds(), 10000, fuzz_tokenizer); }

TEST(FuzzReplay, TokenizerSeedsAreSound) {
  for (const Bytes& seed : tokenizer_seeds()) {
    const std::string json(reinterpret_cast<const char*>(seed.data()), seed.size());
    EXPECT_NO_THROW(static_cast<void>(text::Tokenizer::parse(json, "seed")));
  }
}

}  // namespace
}  // namespace longwave::testing
