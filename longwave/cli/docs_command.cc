// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands.h"
#include "longwave/cli/help.h"
#include "longwave/runtime/recipe.h"

namespace longwave::cli {
namespace {

ExitCode run_docs(Call& call) {
  const std::string page = call.words.empty() ? "cli" : call.words.front();
  if (page != "cli" && page != "recipe") {
    throw UsageError({.where = "longwave docs",
                      .what = "there are two pages, cli and recipe",
                      .got = page,
                      .fix = {}});
  }
  call.console.out << (page == "cli" ? reference_page(commands()) : runtime::recipe_page());
  return ExitCode::kOk;
}

}  // namespace

Command docs_command() {
  return {.name = "docs",
          .summary = "Print a reference page from the option tables",
          .description = "Prints docs/reference/cli.md or docs/reference/recipe.md.",
          .examples = {{"longwave docs > docs/reference/cli.md", "bring the page up to date"},
                       {"longwave docs recipe > docs/reference/recipe.md", "the same for recipes"}},
          .positionals = {{.name = "PAGE",
                           .help = "cli or recipe",
                           .count = Positional::Count::kOptional}},
          .flags = {},
          .run = run_docs,
          .listing = Command::Listing::kHidden};
}

}  // namespace longwave::cli
