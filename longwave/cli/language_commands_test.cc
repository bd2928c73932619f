// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "longwave/cli/testing/run_command.h"
#include "longwave/text/tokenizer.h"
#include "longwave/text/utf8.h"

namespace longwave::cli::testing {
namespace {

using models::Interface;

const models::testing::ModelCase kBytesModel = {
    "Bytes", {}, {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};

TEST(Tokenize, DecodesWhatItEncoded) {
  const std::string text = "It's 12 o'clock.\n\n caf\xc3\xa9";
  const Outcome ids = longwave({"tokenize", "encode"}, text);
  ASSERT_EQ(ids.code, ExitCode::kOk) << ids.err;
  EXPECT_TRUE(ids.out.starts_with("73 116 39 "));
  EXPECT_EQ(longwave({"tokenize", "decode"}, ids.out).out, text);
}

TEST(Tokenize, TrainedTokenizerIsReadBack) {
  const ScratchFolder scratch("tokenize");
  const std::string file = scratch / "tokenizer.json";
  const std::string text = "the cat and the hat and the rat";
  const Outcome trained = longwave({"tokenize", "train", "--vocab", "265", "--out", file}, text);
  ASSERT_EQ(trained.code, ExitCode::kOk) << trained.err;
  const Outcome ids = longwave({"tokenize", "encode", "--tokenizer", file, "--json"}, text);
  const auto json = nlohmann::json::parse(ids.out);
  EXPECT_LT(json["ids"].size(), text.size() / 2);
  const Outcome back = longwave({"tokenize", "decode", "--tokenizer", file},
                                json["ids"].dump().substr(1, json["ids"].dump().size() - 2));
  EXPECT_EQ(back.out, text);
}

TEST(Tokenize, SaysWhatIsWrong) {
  EXPECT_EQ(longwave({"tokenize", "explode"}).code, ExitCode::kUsage);
  EXPECT_EQ(longwave({"tokenize", "train"}, "text").code, ExitCode::kUsage);
  EXPECT_EQ(longwave({"tokenize", "decode"}, "1 x").code, ExitCode::kBadInput);
  EXPECT_EQ(longwave({"tokenize", "decode"}, "256").code, ExitCode::kBadInput);
}

TEST(Generate, SameSeedSameTextInEveryFormat) {
  const ScratchFolder scratch("generate");
  const std::string folder = scratch.save_model("model", kBytesModel);
  runtime::write_tokenizer(folder, text::Tokenizer::bytes());
  const std::vector<std::string> command = {"generate", folder, "--prompt", "Oh", "-n", "40"};
  const auto with = [&command](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return longwave(more);
  };
  const Outcome text = with({});
  ASSERT_EQ(text.code, ExitCode::kOk) << text.err;
  EXPECT_EQ(with({}).out, text.out);
  EXPECT_NE(with({"--seed", "1"}).out, text.out);
  const auto json = nlohmann::json::parse(with({"--format", "json"}).out);
  ASSERT_EQ(json["ids"].size(), 40u);
  EXPECT_EQ(json["end"], "length");
  std::string lines, bytes;
  for (const auto& id : json["ids"]) {
    bytes += static_cast<char>(id.get<int64_t>());
    lines += std::to_string(id.get<int64_t>()) + "\n";
  }
  EXPECT_EQ(text.out, text::showable(bytes) + "\n");
  EXPECT_EQ(json["text"], text::showable(bytes));
  EXPECT_EQ(with({"--format", "ids"}).out, lines);
  const Outcome by_ids = longwave({"generate", folder, "--ids", "79,104", "-n", "40"});
  EXPECT_EQ(by_ids.out, text.out);
}

TEST(Generate, ModelsWithoutATokenizerTakeAndGiveNumbers) {
  const ScratchFolder scratch("generate_ids");
  const std::string folder = scratch.save_model("model", kBytesModel);
  const Outcome ids = longwave({"generate", folder, "--ids", "5, 17", "-n", "3", "-t", "0"});
  ASSERT_EQ(ids.code, ExitCode::kOk) << ids.err;
  EXPECT_EQ(std::ranges::count(ids.out, '\n'), 3);
  EXPECT_EQ(longwave({"generate", folder, "--prompt", "x"}).code, ExitCode::kBadInput);
  EXPECT_EQ(longwave({"generate", folder, "--ids", "5", "--format", "text"}).code,
            ExitCode::kBadInput);
  EXPECT_EQ(longwave({"generate", folder, "--ids", "5;6"}).code, ExitCode::kBadInput);
  EXPECT_NE(longwave({"generate", folder, "--ids", "999"}).code, ExitCode::kOk);
}

TEST(Generate, ADraftChangesNothingButTheSpeed) {
  const ScratchFolder scratch("generate_draft");
  const models::testing::ModelCase small = {
      "Small", {}, {Interface::Input::kTokens, 9, Interface::Output::kStep, 9}};
  const models::testing::ModelCase other = {
      "Other", {}, {Interface::Input::kTokens, 8, Interface::Output::kStep, 8}};
  const std::string model = scratch.save_model("model", small);
  const std::string stranger = scratch.save_model("stranger", other);
  const auto generate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> line = {"generate", model, "--ids", "3,1,4", "-n",
                                     "20",       "-t",  "0",     "--json"};
    line.insert(line.end(), more.begin(), more.end());
    return longwave(line);
  };
  const auto alone = nlohmann::json::parse(generate({}).out);
  const Outcome drafted = generate({"--draft", model, "--draft-tokens", "3"});
  const auto json = nlohmann::json::parse(drafted.out);
  EXPECT_EQ(json["ids"], alone["ids"]);
  EXPECT_EQ(json["draft"]["accepted"], json["draft"]["proposed"]);
  EXPECT_NE(drafted.err.find("tokens a pass"), std::string::npos);
  EXPECT_EQ(generate({"--draft", stranger}).code, ExitCode::kBadInput);
  EXPECT_EQ(generate({"--draft", model, "--draft-tokens", "32"}).code, ExitCode::kUsage);
}

TEST(Context, IsTheLongestSequenceOfAHybrid) {
  const ScratchFolder scratch("context");
  const models::testing::ModelCase hybrid = {
      "Hybrid",
      {"model.pattern=mamba attention", "attention.positions=64", "attention.window=16"},
      {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};
  const std::string folder = scratch.save_model("model", hybrid);
  runtime::write_tokenizer(folder, text::Tokenizer::bytes());
  const std::string said = "twenty-three characters";
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"perplexity"}, {"chat", "-n", "8"}}) {
    const auto run = [&](const std::string& context) {
      std::vector<std::string> line = command;
      line.insert(line.end(), {folder, "--context", context, "--json"});
      return longwave(line, said);
    };
    EXPECT_NE(run("16").err.find("the context is full"), std::string::npos) << command[0];
    EXPECT_EQ(run("64").err.find("the context is full"), std::string::npos) << command[0];
    EXPECT_EQ(run("65").code, ExitCode::kBadInput) << command[0];
  }
}

TEST(Context, AFullOneEndsTheAnswerAndSaysSo) {
  const ScratchFolder scratch("context_full");
  const models::testing::ModelCase hybrid = {
      "Hybrid",
      {"model.pattern=mamba attention", "attention.positions=64"},
      {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};
  const std::string folder = scratch.save_model("model", hybrid);
  runtime::write_tokenizer(folder, text::Tokenizer::bytes());
  const Outcome generated =
      longwave({"generate", folder, "-p", "twelve bytes", "--context", "20", "-n", "99", "--json"});
  EXPECT_EQ(generated.code, ExitCode::kOk) << generated.err;
  const auto json = nlohmann::json::parse(generated.out);
  EXPECT_EQ(json["end"], "context");
  EXPECT_EQ(json["ids"].size(), 9u);
  EXPECT_NE(generated.err.find("--context"), std::string::npos) << generated.err;
  const Outcome talked =
      longwave({"chat", folder, "--context", "20", "-n", "99", "-t", "0", "--json"},
               "twelve bytes\nmore\n/rewind\ntwelve bytes\n");
  EXPECT_NE(talked.err.find("/rewind or /reset"), std::string::npos) << talked.err;
  const size_t half = talked.out.size() / 2;
  EXPECT_GT(half, 0u);
  EXPECT_EQ(talked.out.substr(0, half), talked.out.substr(half)) << "the same answer again";
}

TEST(Perplexity, SaysWhatAStateOfFewerBitsChanges) {
  const ScratchFolder scratch("perplexity_state");
  const models::testing::ModelCase mamba = {
      "Mamba",
      {"model.pattern=mamba"},
      {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};
  const std::string folder = scratch.save_model("model", mamba);
  runtime::write_tokenizer(folder, text::Tokenizer::bytes());
  const auto run = [&](const std::string& form) {
    return nlohmann::json::parse(
        longwave({"perplexity", folder, "--state", form, "--json"}, "some text to read").out);
  };
  const auto exact = run("f32"), kept = run("int8");
  EXPECT_FALSE(exact["files"][0].contains("float32_state"));
  EXPECT_EQ(kept["float32_state"]["nats_per_token"], exact["nats_per_token"]);
  EXPECT_GT(kept["float32_state"]["largest_logit_difference"], 0);
  EXPECT_EQ(longwave({"perplexity", folder, "--state", "int4"}, "text").code, ExitCode::kUsage);
}

TEST(Logits, AreARowForEachToken) {
  const ScratchFolder scratch("logits");
  const std::string folder = scratch.save_model("model", kBytesModel);
  const Outcome outcome = longwave({"logits", folder, "--ids", "5,17,3", "--format", "json"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out)["logits"];
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows) EXPECT_EQ(row.size(), 256u);
  // The likeliest token after the last one is what generate goes on with.
  const auto likely = [](const auto& row) { return std::ranges::max_element(row) - row.begin(); };
  const auto ids =
      nlohmann::json::parse(longwave({"generate", folder, "--ids", "5,17,3", "--max-tokens", "1",
                                      "--temp", "0", "--format", "json"})
                                .out)["ids"];
  EXPECT_EQ(ids[0], likely(rows[2].get<std::vector<float>>()));
  EXPECT_EQ(std::ranges::count(longwave({"logits", folder, "--ids", "5,17,3"}).out, '\n'), 3);
  EXPECT_EQ(longwave({"logits", folder}).code, ExitCode::kUsage);
  EXPECT_NE(longwave({"logits", folder, "--ids", "999"}).code, ExitCode::kOk);
}

}  // namespace
}  // namespace longwave::cli::testing
