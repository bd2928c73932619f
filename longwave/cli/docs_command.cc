// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands.h"
#include "longwave/cli/help.h"

namespace longwave::cli {
namespace {

ExitCode run_docs(Call& call) {
  call.console.out << reference_page(commands());
  return ExitCode::kOk;
}

}  // namespace

Command docs_command() {
  return {.name = "docs",
          .summary = "Print the reference page of the command line",
          .description = "Prints docs/reference/cli.md from the option tables.",
          .examples = {{"longwave docs > docs/reference/cli.md", "bring the page up to date"}},
          .positionals = {},
          .flags = {},
          .run = run_docs,
          .listing = Command::Listing::kHidden};
}

}  // namespace longwave::cli
