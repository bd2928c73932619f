// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "longwave/cli/testing/run_command.h"

namespace longwave::cli::testing {
namespace {

const std::string kPublished = LONGWAVE_SOURCE_DIR "/tests/fixtures/published/";

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Convert, TheWayAroundIsTheIdentity) {
  const ScratchFolder scratch("convert");
  const auto convert = [&](const std::string& from, const char* to, const char* form) {
    const Outcome outcome = longwave({"convert", from, scratch / to, "--to", form});
    EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
    return scratch / to;
  };
  const std::string own = convert(kPublished + "mamba2", "own", "longwave");
  const std::string hf = convert(own, "hf", "hf");
  const std::string original = convert(hf, "original", "state-spaces");
  const std::string back = convert(original, "back", "longwave");
  EXPECT_EQ(content(own + "/model.safetensors"), content(back + "/model.safetensors"));
  for (const std::string& folder : {own, hf, original, back}) {
    EXPECT_EQ(
        longwave({"generate", folder, "--ids", "1,2,3", "-n", "5", "-t", "0"}).out,
        longwave({"generate", kPublished + "mamba2", "--ids", "1,2,3", "-n", "5", "-t", "0"}).out);
  }
}

TEST(Convert, NamesOfGgufFilesAreForThem) {
  const ScratchFolder scratch("convert_names");
  const Outcome folder = longwave({"convert", kPublished + "mamba", scratch / "mamba.gguf"});
  EXPECT_EQ(folder.code, ExitCode::kBadInput);
  EXPECT_NE(folder.err.find("add --to gguf"), std::string::npos) << folder.err;
  const Outcome file = longwave({"convert", kPublished + "mamba", scratch / "m", "--to", "gguf"});
  EXPECT_EQ(file.code, ExitCode::kBadInput);
  EXPECT_NE(file.err.find("/m.gguf"), std::string::npos) << file.err;
}

TEST(Convert, EveryCommandTakesAGgufFile) {
  const ScratchFolder scratch("convert_gguf");
  const std::string file = scratch / "mamba.gguf";
  const Outcome written = longwave({"convert", kPublished + "mamba", file, "--to", "gguf"});
  EXPECT_EQ(written.code, ExitCode::kOk) << written.err;
  const auto same = [&](std::vector<std::string> words, size_t place) {
    words[place] = kPublished + "mamba";
    const Outcome expected = longwave(words);
    words[place] = file;
    const Outcome got = longwave(words);
    EXPECT_EQ(got.code, ExitCode::kOk) << got.err;
    return std::pair(expected.out, got.out);
  };
  const auto [ids, same_ids] = same({"generate", "", "--ids", "1,2,3", "-n", "5", "-t", "0"}, 1);
  EXPECT_EQ(ids, same_ids);
  const auto [logits, near] = same({"logits", "", "--ids", "5,17,3", "--format", "json"}, 1);
  const auto rows = nlohmann::json::parse(logits)["logits"];
  const auto near_rows = nlohmann::json::parse(near)["logits"];
  for (size_t t = 0; t < rows.size(); ++t) {
    for (size_t i = 0; i < rows[t].size(); ++i) {
      EXPECT_NEAR(rows[t][i].get<double>(), near_rows[t][i].get<double>(), 1e-5);
    }
  }
  EXPECT_EQ(longwave({"inspect", file}).code, ExitCode::kOk);
}

TEST(Convert, ModelsThatTalkStillDo) {
  const ScratchFolder scratch("convert_talks");
  const std::string model = LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_mamba";
  const auto talk = [](const std::string& path) {
    return longwave({"chat", path, "-t", "0", "-n", "8"}, "Hello\n");
  };
  const std::string expected = talk(model).out, file = scratch / "talks.gguf";
  ASSERT_EQ(longwave({"convert", model, file, "--to", "gguf"}).code, ExitCode::kOk);
  ASSERT_EQ(longwave({"convert", file, scratch / "hf", "--to", "hf"}).code, ExitCode::kOk);
  ASSERT_EQ(longwave({"convert", scratch / "hf", scratch / "own"}).code, ExitCode::kOk);
  for (const std::string& path : {file, scratch / "hf", scratch / "own"}) {
    const Outcome got = talk(path);
    EXPECT_EQ(got.out, expected) << path;
    EXPECT_EQ(got.err.find("no chat template"), std::string::npos) << path << got.err;
  }
  ASSERT_EQ(longwave({"quantize", file, "--to", "bf16", "--out", scratch / "small"}).code,
            ExitCode::kOk);
  EXPECT_EQ(talk(scratch / "small").err.find("no chat template"), std::string::npos);
}

TEST(Convert, TypesAreForGgufFiles) {
  const ScratchFolder scratch("convert_types");
  const Outcome refused =
      longwave({"convert", kPublished + "mamba", scratch / "a", "--type", "q8_0"});
  EXPECT_EQ(refused.code, ExitCode::kBadInput);
  EXPECT_NE(refused.err.find("--to gguf"), std::string::npos) << refused.err;
  // Rows of 12 are no blocks of 32: these become float16.
  for (const char* type : {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q6_k"}) {
    const std::string file = scratch / (std::string(type) + ".gguf");
    const Outcome made =
        longwave({"convert", kPublished + "mamba", file, "--to", "gguf", "--type", type});
    EXPECT_EQ(made.code, ExitCode::kOk) << made.err;
    EXPECT_EQ(longwave({"generate", file, "--ids", "1,2,3", "-n", "5"}).code, ExitCode::kOk);
    const std::string back = scratch / (std::string(type) + "_hf");
    EXPECT_EQ(longwave({"convert", file, back, "--to", "hf"}).code, ExitCode::kOk) << type;
  }
}

TEST(Convert, NamesEveryTensor) {
  const ScratchFolder scratch("convert_names");
  const Outcome list =
      longwave({"convert", kPublished + "mamba", scratch / "a", "--to", "hf", "--list"});
  EXPECT_NE(list.out.find("backbone.embeddings.weight <- encoder.weight (24, 12)"),
            std::string::npos)
      << list.out;
  const Outcome json =
      longwave({"convert", kPublished + "mamba", scratch / "b", "--to", "hf", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["tensors"].size(), 22u);
}

TEST(Convert, SaysWhatIsWrong) {
  const ScratchFolder scratch("convert_wrong");
  const std::string other = scratch.save_model("other", {"Other", {}, {}});
  const Outcome refused = longwave({"convert", other, scratch / "out", "--to", "hf"});
  EXPECT_EQ(refused.code, ExitCode::kBadInput);
  EXPECT_NE(refused.err.find("the hf form cannot say this"), std::string::npos) << refused.err;
  const Outcome exists = longwave({"convert", kPublished + "mamba", other});
  EXPECT_EQ(exists.code, ExitCode::kFailed);
  EXPECT_EQ(longwave({"convert", kPublished + "mamba"}).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace longwave::cli::testing
