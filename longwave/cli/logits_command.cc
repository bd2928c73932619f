// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cmath>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/context_flag.h"
#include "longwave/cli/token_list.h"
#include "longwave/runtime/session.h"

namespace longwave::cli {
namespace {

/// The shortest digits that read back as the same floats; JSON has no word for what is no number.
std::string row_text(std::span<const float> row, const char* between) {
  std::string line;
  for (const float value : row) {
    if (!line.empty()) line += between;
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(line), "{}", value);
    } else {
      line += "null";
    }
  }
  return line;
}

ExitCode run_logits(Call& call) {
  const std::vector<int64_t> ids = token_list(call.options.text("ids"), "--ids");
  if (ids.empty()) {
    throw UsageError({.where = "longwave logits",
                      .what = "there are no tokens",
                      .got = {},
                      .fix = "give them as numbers: --ids 5,17,3"});
  }
  const bool json = call.json() || call.options.text("format") == "json";
  runtime::Session session(
      runtime::Model::load(call.words.at(0), 1, call.options.integer("context")));
  const auto size = static_cast<size_t>(session.model().network().config().interface.output_size);
  const std::span<const float> logits = session.prefill(ids);
  if (json) call.console.out << "{\"logits\":[";
  for (size_t begin = 0; begin < logits.size(); begin += size) {
    const std::string row = row_text(logits.subspan(begin, size), json ? "," : " ");
    if (json) {
      call.console.out << (begin == 0 ? "[" : ",[") << row << ']';
    } else {
      call.console.out << row << '\n';
    }
  }
  if (json) call.console.out << "]}\n";
  return ExitCode::kOk;
}

}  // namespace

Command logits_command() {
  return {
      .name = "logits",
      .summary = "Print what a language model expects after each token",
      .description =
          "Reads tokens and prints a row for each: the logits of the token that follows it. The "
          "digits read back as the same float32 numbers. For comparing runtimes.",
      .examples = {{"longwave logits mamba-130m-hf --ids 5,17,3 --format json",
                    R"(one document: {"logits":[[...],...]})"}},
      .positionals = {{.name = "MODEL", .help = "run folder, model folder or checkpoint"}},
      .flags = {{.option = {.key = "ids",
                            .value = std::string(),
                            .help = "the tokens as numbers: 5,17,3"},
                 .takes = "LIST"},
                {.option = {.key = "format",
                            .value = std::string("text"),
                            .help = "a line a token, or one JSON document",
                            .choices = {"text", "json"}}},
                context_flag()},
      .run = run_logits,
      .stray = "ids",
  };
}

}  // namespace longwave::cli
