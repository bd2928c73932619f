// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "longwave/cli/testing/run_command.h"
#include "longwave/text/tokenizer.h"

namespace longwave::cli::testing {
namespace {

const std::string kModel = LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_mamba";

Outcome chat(const std::string& input, std::vector<std::string> more = {}) {
  std::vector<std::string> command = {"chat", kModel, "-t", "0", "-n", "12"};
  command.insert(command.end(), more.begin(), more.end());
  return longwave(command, input);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Chat, ASessionThatCannotBeKeptIsRefusedFirst) {
  const Outcome outcome = chat("hello\n", {"--session", "/no/such/folder/session.state"});
  EXPECT_NE(outcome.code, ExitCode::kOk);
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("/no/such/folder/session.state"), std::string::npos) << outcome.err;
}

TEST(Chat, AnswersEachLineOfAPipe) {
  const Outcome outcome = chat("Hello\nAnd you?\n", {"--json"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  const auto lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_FALSE(nlohmann::json::parse(lines[0])["ids"].empty());
  EXPECT_EQ(chat("Hello\\\nworld\n", {"--json"}).out.find('\n'),
            chat("Hello\\\nworld\n", {"--json"}).out.size() - 1)
      << "one question of two lines";
}

TEST(Chat, RewoundAndForkedConversationsAnswerAlike) {
  const auto rewound = lines_of(chat("a\nb\n/rewind\nb\n/reset\na\nb\n", {"--json"}).out);
  ASSERT_EQ(rewound.size(), 5u);
  EXPECT_EQ(rewound[1], rewound[2]);
  EXPECT_EQ(rewound[0], rewound[3]);
  EXPECT_EQ(rewound[1], rewound[4]);
  const auto forked =
      lines_of(chat("a\n/fork\nc\n/fork 1\nb\n/fork 2\n/rewind\nb\n", {"--json"}).out);
  ASSERT_EQ(forked.size(), 4u);
  EXPECT_EQ(forked[2], rewound[1]);
  EXPECT_EQ(forked[3], rewound[1]);
}

TEST(Chat, DraftsChangeNothingButTheSpeed) {
  const Outcome alone = chat("a\nb\n/rewind\nb\n"),
                drafted = chat("a\nb\n/rewind\nb\n", {"--draft", kModel});
  ASSERT_EQ(drafted.code, ExitCode::kOk) << drafted.err;
  EXPECT_EQ(drafted.out, alone.out);
  EXPECT_NE(drafted.err.find("guesses taken"), std::string::npos) << drafted.err;
  const Outcome refused = chat("a\n", {"--draft", kModel, "--state", "int8"});
  EXPECT_NE(refused.err.find("--state"), std::string::npos) << refused.err;
}

TEST(Chat, SavedConversationsGoOn) {
  const ScratchFolder scratch("chat");
  const std::string file = scratch / "talk.state";
  const auto whole = lines_of(chat("a\nb\n", {"--json"}).out);
  ASSERT_EQ(chat("a\n/save " + file + "\n").code, ExitCode::kOk);
  EXPECT_EQ(lines_of(chat("/load " + file + "\nb\n", {"--json"}).out).at(0), whole[1]);
  const std::string kept = scratch / "kept.state";
  chat("a\n", {"--session", kept});
  EXPECT_EQ(lines_of(chat("b\n", {"--session", kept, "--json"}).out).at(0), whole[1]);
}

TEST(Chat, MistakesEndNoConversation) {
  const ScratchFolder scratch("chat_mistakes");
  const std::string file = scratch / "talk.state";
  chat("a\n/save " + file + "\n");
  const auto whole = lines_of(chat("a\nb\n", {"--json"}).out);
  const Outcome outcome =
      chat("a\n/load\n/load /none\n/sing\n/rewind 7\n/rewind x\nb\n/quit\nc\n", {"--json"});
  EXPECT_EQ(outcome.code, ExitCode::kFailed) << "who reads a pipe must be told";
  EXPECT_EQ(lines_of(outcome.out), whole);
  for (const char* said : {"which file?", "/sing", "not so many turns", "a number is needed"}) {
    EXPECT_NE(outcome.err.find(said), std::string::npos) << outcome.err;
  }
  EXPECT_NE(chat("/help\n").err.find("/rewind [n]"), std::string::npos);
}

TEST(Chat, ModelsWithoutATemplateGoOnWithTheText) {
  const ScratchFolder scratch("chat_plain");
  const std::string folder = scratch.save_model(
      "model", {"Bytes",
                {},
                {models::Interface::Input::kTokens, 256, models::Interface::Output::kStep, 256}});
  EXPECT_EQ(longwave({"chat", folder}, "a\n").code, ExitCode::kBadInput) << "no tokenizer";
  runtime::write_tokenizer(folder, text::Tokenizer::bytes());
  const Outcome talk = longwave({"chat", folder, "-t", "0", "-n", "9"}, "Oh\n");
  EXPECT_EQ(talk.code, ExitCode::kOk) << talk.err;
  EXPECT_NE(talk.err.find("no chat template"), std::string::npos);
  EXPECT_EQ(talk.out, longwave({"generate", folder, "-t", "0", "-n", "9", "-p", "Oh"}).out);
  const std::string file = scratch / "talk.state";
  chat("a\n/save " + file + "\n");
  const Outcome wrong = longwave({"chat", folder}, "/load " + file + "\n");
  EXPECT_NE(wrong.err.find("another model"), std::string::npos) << wrong.err;
}

TEST(PerplexityCommand, SumsItsFilesUp) {
  const ScratchFolder scratch("perplexity");
  const std::string text = scratch / "text";
  std::ofstream(text) << "It was a truth, caf\xc3\xa9.";
  const Outcome outcome = longwave({"perplexity", kModel, text, text, "--json"});
  ASSERT_EQ(outcome.code, ExitCode::kOk) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["files"].size(), 2u);
  EXPECT_EQ(json["files"][0]["nats_per_token"], json["files"][1]["nats_per_token"]);
  EXPECT_EQ(json["tokens"].get<int64_t>(), 2 * json["files"][0]["tokens"].get<int64_t>());
  EXPECT_NEAR(json["perplexity"].get<double>(), std::exp(json["nats_per_token"].get<double>()),
              1e-6 * json["perplexity"].get<double>());
  EXPECT_GT(json["bits_per_byte"], 0.0);
  EXPECT_EQ(longwave({"perplexity", kModel}, "x").code, ExitCode::kBadInput) << "one token";
  EXPECT_EQ(longwave({"perplexity", kModel}, "Some text.").code, ExitCode::kOk);
}

}  // namespace
}  // namespace longwave::cli::testing
