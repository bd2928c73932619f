// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands.h"
#include "longwave/cli/hand_over.h"

namespace longwave::cli {

Command train_command() {
  return {
      .name = "train",
      .summary = "Train a model from a recipe",
      .description =
          "Reads a TOML recipe, applies overrides of the form key=value, trains, and leaves a run "
          "folder with the model, metrics, and everything that repeats the run. SIGINT and SIGTERM "
          "save and leave.",
      .examples = {{"longwave train recipes/demo.toml", "train as the recipe says"},
                   {"longwave train recipes/demo.toml train.lr=0.003 model.d_model=128",
                    "the same with two changes"},
                   {"longwave train recipes/demo.toml --dry-run",
                    "show sizes, memory and time, train nothing"},
                   {"longwave train --resume runs/demo", "go on where a run stopped, bit for bit"}},
      .positionals = {{.name = "RECIPE",
                       .help = "TOML file; may be left out with --resume",
                       .count = Positional::Count::kOptional},
                      {.name = "KEY=VALUE",
                       .help = "overrides of recipe keys, such as train.lr=0.003",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "out",
                            .value = std::string(),
                            .help = "run folder; made from the recipe's name if not given"},
                 .takes = "FOLDER"},
                {.option = {.key = "resume",
                            .value = std::string(),
                            .help = "run folder to continue, bit for bit"},
                 .takes = "FOLDER"},
                {.option = {.key = "dry_run",
                            .value = false,
                            .help = "build everything, show sizes, memory and time, then stop"}}},
      .run = run_in_torch_program,
  };
}

}  // namespace longwave::cli
