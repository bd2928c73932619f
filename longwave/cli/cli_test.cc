// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "longwave/cli/commands.h"
#include "longwave/cli/help.h"
#include "longwave/cli/program.h"
#include "longwave/cli/testing/run_command.h"

namespace longwave::cli {
namespace {

using testing::Outcome;
using testing::run;
using testing::Variables;

Command probe_command(ExitCode (*act)(Call&)) {
  return {.name = "probe",
          .summary = "Probe",
          .description = "Probes.",
          .examples = {{"longwave probe A", "probe it"}},
          .positionals = {{.name = "A", .help = "what"}},
          .flags = {{.option = {.key = "speed_limit", .value = 1.5, .help = "limit", .least = 0}},
                    {.option = {.key = "format",
                                .value = std::string("text"),
                                .help = "form",
                                .choices = {"text", "f32"}}}},
          .run = act};
}

ExitCode show(Call& call) {
  call.console.out << call.words.at(0) << ' ' << call.options.real("speed_limit") << ' '
                   << call.options.text("format") << ' ' << call.json();
  return ExitCode::kOk;
}

Program probe(ExitCode (*act)(Call&) = show) {
  return {.name = "longwave", .commands = {probe_command(act)}, .torch = {}};
}

template <typename Exception>
ExitCode raise(Call&) {
  throw Exception({.where = "here", .what = "is wrong", .got = "this", .fix = "do that"});
}

TEST(Cli, FlagBeatsEnvironmentBeatsDefault) {
  EXPECT_EQ(run(probe(), {"probe", "x"}).out, "x 1.5 text 0");
  const Variables variables = {{"LONGWAVE_PROBE_SPEED_LIMIT", "2"}, {"LONGWAVE_JSON", "true"}};
  EXPECT_EQ(run(probe(), {"probe", "x"}, variables).out, "x 2 text 1");
  EXPECT_EQ(run(probe(), {"probe", "--speed-limit", "3", "x", "--no-json"}, variables).out,
            "x 3 text 0");
  EXPECT_EQ(run(probe(), {"probe", "x", "--format=f32", "--speed-limit=1", "--speed-limit=4"}).out,
            "x 4 f32 0");
}

TEST(Cli, WordsAfterTwoDashesAreArguments) {
  EXPECT_EQ(run(probe(), {"probe", "--", "--json"}).out, "--json 1.5 text 0");
}

TEST(Cli, UsageErrorsGiveTwoAndASuggestion) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"prob"}, "did you mean longwave probe?"},
      {{"probe", "x", "--sped-limit", "3"}, "did you mean --speed-limit?"},
      {{"probe"}, "missing argument A"},
      {{"probe", "x", "y"}, "unexpected argument y"},
      {{"probe", "x", "--format", "f33"}, "--format: must be one of"},
      {{"probe", "x", "--speed-limit"}, "--speed-limit needs a value"},
      {{"probe", "x", "--speed-limit", "fast"}, "must be a number"},
      {{"probe", "x", "--speed-limit=-1"}, "--speed-limit: must be at least 0.0"},
      {{"probe", "x", "--format", "f33"}, "did you mean \"f32\"?"},
      {{"--json"}, "the command comes first"},
      {{}, "Commands"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = run(probe(), arguments);
    EXPECT_EQ(outcome.code, ExitCode::kUsage) << message;
    EXPECT_NE(outcome.err.find(message), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(Cli, BadEnvironmentGivesThreeAndNamesTheVariable) {
  const Outcome outcome = run(probe(), {"probe", "x"}, {{"LONGWAVE_PROBE_FORMAT", "xml"}});
  EXPECT_EQ(outcome.code, ExitCode::kBadInput);
  EXPECT_NE(outcome.err.find("LONGWAVE_PROBE_FORMAT"), std::string::npos);
}

TEST(Cli, ErrorsBecomeMessagesAndExitCodes) {
  const std::vector<std::pair<ExitCode (*)(Call&), ExitCode>> cases = {
      {raise<UsageError>, ExitCode::kUsage},
      {raise<ConfigError>, ExitCode::kBadInput},
      {raise<DataError>, ExitCode::kBadInput},
      {raise<InvalidArgument>, ExitCode::kBadInput},
      {raise<Diverged>, ExitCode::kDiverged},
      {raise<IoError>, ExitCode::kFailed},
      {[](Call&) -> ExitCode { throw std::bad_alloc(); }, ExitCode::kFailed},
      {[](Call&) { return ExitCode::kFailed; }, ExitCode::kFailed},
  };
  for (const auto& [act, code] : cases) EXPECT_EQ(run(probe(act), {"probe", "x"}).code, code);
  EXPECT_EQ(run(probe(raise<DataError>), {"probe", "x"}).err,
            "error: here: is wrong\n  got: this\n  fix: do that\n");
}

TEST(Cli, QuietSilencesTalkButNotErrors) {
  const auto talk = [](Call& call) {
    call.console.say("hello");
    return ExitCode::kOk;
  };
  EXPECT_EQ(run(probe(talk), {"probe", "x"}).err, "hello\n");
  EXPECT_EQ(run(probe(talk), {"probe", "x", "-q"}).err, "");
  EXPECT_NE(run(probe(raise<DataError>), {"probe", "x", "-q"}).err, "");
}

TEST(Cli, PrintConfigTellsValuesAndOrigins) {
  const Variables variables = {{"LONGWAVE_PROBE_FORMAT", "f32"}};
  const std::vector<std::string> arguments = {"probe", "--speed-limit", "3", "--print-config"};
  const std::string text = run(probe(), arguments, variables).out;
  EXPECT_NE(text.find("format = \"f32\"  # LONGWAVE_PROBE_FORMAT\n"), std::string::npos) << text;
  EXPECT_NE(text.find("speed_limit = 3.0  # --speed-limit\n"), std::string::npos) << text;
  EXPECT_NE(text.find("threads = 0  # default\n"), std::string::npos) << text;
}

TEST(Cli, VersionIsMachineReadable) {
  const auto facts = nlohmann::json::parse(run(probe(), {"--version", "--json"}).out);
  EXPECT_FALSE(facts.at("version").get<std::string>().empty());
  EXPECT_FALSE(facts.at("simd_used").get<std::string>().empty());
  EXPECT_TRUE(facts.at("cuda").is_string());
  EXPECT_TRUE(run(probe(), {"--version"}).out.starts_with("longwave "));
}

TEST(Cli, HelpShowsExamplesFirst) {
  const std::string help = run(probe(), {"probe", "--help"}).out;
  EXPECT_LT(help.find("longwave probe A"), help.find("Usage"));
  EXPECT_NE(help.find("--speed-limit NUMBER"), std::string::npos);
  EXPECT_NE(help.find("(default 1.5)"), std::string::npos);
  EXPECT_EQ(run(probe(), {"help", "probe"}).out, help);
}

TEST(Cli, EveryCommandIsDescribed) {
  for (const Command& command : commands()) {
    EXPECT_NE(command.run, nullptr) << command.name;
    EXPECT_FALSE(command.summary.empty() || command.summary.ends_with(".")) << command.name;
    EXPECT_FALSE(command.examples.empty()) << command.name;
    for (const Example& example : command.examples) {
      EXPECT_NE(example.line.find("longwave " + std::string(command.name)), std::string::npos)
          << example.line;
    }
    for (const Flag& flag : command.flags) EXPECT_FALSE(flag.option.help.empty());
  }
}

TEST(Cli, ReferencePageIsUpToDate) {
  std::ifstream file(LONGWAVE_SOURCE_DIR "/docs/reference/cli.md");
  ASSERT_TRUE(file) << "run: longwave docs > docs/reference/cli.md";
  const std::string page(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(page, reference_page(commands())) << "run: longwave docs > docs/reference/cli.md";
}

}  // namespace
}  // namespace longwave::cli
