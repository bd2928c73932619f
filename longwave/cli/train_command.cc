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
          "save and leave, SIGUSR1 saves and goes on.",
      .examples = {{"longwave train recipes/fashion_mnist_s4d.toml", "train as the recipe says"},
                   {"longwave train recipes/adding.toml train.lr=0.003 model.pattern=s5*2",
                    "the same with two changes"},
                   {"longwave train recipes/delay.toml --dry-run",
                    "show sizes, memory and time, train nothing"},
                   {"longwave train --resume runs/delay", "go on where a run stopped, bit for bit"},
                   {"longwave train --replay runs/delay", "repeat the step that diverged"}},
      .positionals = {{.name = "RECIPE",
                       .help = "TOML file; left out with --resume and --replay",
                       .count = Positional::Count::kOptional},
                      {.name = "KEY=VALUE",
                       .help = "overrides of recipe keys, such as train.lr=0.003",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "out",
                            .value = std::string(),
                            .help = "run folder; runs/ and the recipe's name if not given"},
                 .takes = "FOLDER"},
                {.option = {.key = "resume",
                            .value = std::string(),
                            .help = "run folder to continue, bit for bit"},
                 .takes = "FOLDER"},
                {.option = {.key = "accept_changes",
                            .value = false,
                            .help = "resume although the recipe was changed by overrides"}},
                {.option = {.key = "dry_run",
                            .value = false,
                            .help = "build everything, show sizes, memory and time, then stop"}},
                {.option = {.key = "replay",
                            .value = std::string(),
                            .help = "run folder whose diverged step is repeated"},
                 .takes = "FOLDER"}},
      .run = run_in_torch_program,
  };
}

}  // namespace longwave::cli
