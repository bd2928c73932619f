// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "longwave/cli/testing/run_command.h"

namespace longwave::cli::testing {
namespace {

const std::string kPublished = LONGWAVE_SOURCE_DIR "/tests/fixtures/published/";

TEST(Quantize, AWordTooManyIsTakenForTheFolderToMake) {
  const Outcome outcome = longwave({"quantize", "here", "there"});
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_NE(outcome.err.find("did you mean --out there?"), std::string::npos) << outcome.err;
}

TEST(Quantize, MakesFoldersAndSaysWhatMakesFiles) {
  const Outcome outcome = longwave({"quantize", kPublished + "mamba", "--out", "small.gguf"});
  EXPECT_EQ(outcome.code, ExitCode::kBadInput);
  EXPECT_NE(outcome.err.find("--to gguf --type q8_0"), std::string::npos) << outcome.err;
}

TEST(Quantize, WritesAModelThatEveryCommandTakes) {
  const ScratchFolder scratch("quantize");
  for (const char* type : {"q8_0", "q4_0", "q4_k", "q6_k", "f16", "bf16"}) {
    const std::string out = scratch / type;
    const Outcome outcome =
        longwave({"quantize", kPublished + "mamba", "--to", type, "--out", out, "--json"});
    ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
    const auto json = nlohmann::json::parse(outcome.out);
    EXPECT_LT(json["bytes_after"].get<int64_t>(), json["bytes_before"].get<int64_t>());
    for (const auto& tensor : json["tensors"]) EXPECT_LT(tensor["relative_error"], 0.15);
    const Outcome generated = longwave({"generate", out, "--ids", "1,2,3", "-n", "5", "-t", "0"});
    EXPECT_EQ(generated.code, ExitCode::kOk) << generated.err;
    const Outcome inspected = longwave({"inspect", out, "--check"});
    EXPECT_EQ(inspected.code, ExitCode::kOk) << inspected.err;
    const Outcome again = longwave({"quantize", kPublished + "mamba", "--to", type, "--out", out});
    EXPECT_EQ(again.code, ExitCode::kFailed);
  }
}

TEST(Quantize, TheTableNamesEveryMatrix) {
  const ScratchFolder scratch("quantize_table");
  const Outcome outcome =
      longwave({"quantize", kPublished + "mamba", "--to", "q8_0", "--out", scratch / "small"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  EXPECT_NE(outcome.out.find("encoder.weight"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("layers.0.mixer.in_proj.weight"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace longwave::cli::testing
