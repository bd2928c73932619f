// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/io/testing/fuzz_targets.h"

namespace longwave::testing {
namespace {

constexpr int64_t kRounds = 3000;

TEST(FuzzReplay, SafetensorsSurviveMutation) {
  replay(safetensors_seeds(), kRounds, fuzz_safetensors);
}
TEST(FuzzReplay, GgufSurvivesMutation) { replay(gguf_seeds(), kRounds, fuzz_gguf); }
TEST(FuzzReplay, TorchPicklesSurviveMutation) {
  replay(torch_pickle_seeds(), kRounds, fuzz_torch_pickle);
}
TEST(FuzzReplay, TomlSurvivesMutation) { replay(toml_seeds(), kRounds, fuzz_toml); }
TEST(FuzzReplay, JsonSurvivesMutation) { replay(json_seeds(), kRounds, fuzz_json); }
TEST(FuzzReplay, GzipSurvivesMutation) { replay(gzip_seeds(), kRounds, fuzz_gzip); }

TEST(FuzzReplay, GzipSeedIsSound) {
  EXPECT_EQ(io::gunzip(gzip_seeds().front(), 100, "seed").size(), 45u);
}

TEST(FuzzReplay, MutationIsRepeatable) {
  Bytes one = bytes_of("some text"), two = one;
  Random first(1), second(1);
  for (int i = 0; i < 100; ++i) {
    mutate(one, first);
    mutate(two, second);
    ASSERT_EQ(one, two);
  }
}

}  // namespace
}  // namespace longwave::testing
