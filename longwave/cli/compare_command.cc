// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands.h"
#include "longwave/cli/hand_over.h"

namespace longwave::cli {

Command compare_command() {
  constexpr double kMany = 1e12;
  return {
      .name = "compare",
      .summary = "Measure layers against each other at equal parameters",
      .description =
          "For each mixer: finds the width whose number of parameters is nearest to the budget, "
          "trains as the recipe says, tests, and measures time and memory of a training step and, "
          "over the length, of training, prefill and single steps. Prints tables with the measured "
          "exponents of growth beside those of theory, and leaves compare.md, compare.json and "
          "compare.html with plots in a folder, after each measurement. Only parameters are "
          "equalised, not the work per step. Memory of training is measured in a process of its "
          "own.",
      .examples = {{"longwave compare recipes/compare_copying.toml",
                    "six layers on selective copying"},
                   {"longwave compare recipes/rows_s4d.toml --mixers s5,mamba,lstm --budget 50000",
                    "other layers in the place of the recipe's, with fifty thousand parameters"},
                   {"longwave compare recipes/adding.toml --mixers 's4d*4;s4d*3 attention' "
                    "--skip-training",
                    "whole patterns, apart by semicolons; costs only"}},
      .positionals = {{.name = "RECIPE",
                       .help = "TOML file with data, training and the layers "
                               "whose place the mixers take"},
                      {.name = "KEY=VALUE",
                       .help = "overrides of recipe keys for all models, such as train.steps=500",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "mixers",
                            .value = std::string("s4d,s5,mamba,mamba2,lstm,attention"),
                            .help = "families or patterns of layers, apart by commas, or by "
                                    "semicolons if a pattern has commas"},
                 .takes = "LIST"},
                {.option = {.key = "budget",
                            .value = int64_t{0},
                            .help = "trained parameters of each model; 0 = those of the recipe as "
                                    "it stands",
                            .least = 0,
                            .most = kMany},
                 .takes = "COUNT"},
                {.option = {.key = "lengths",
                            .value = std::vector<int64_t>{256, 1024, 4096, 16384},
                            .help = "steps of the sequences whose cost is measured, apart by "
                                    "commas; the longest is attention's window then"},
                 .takes = "LIST"},
                {.option = {.key = "repeats",
                            .value = int64_t{9},
                            .help = "prefills timed at each length",
                            .least = 1,
                            .most = 10000}},
                {.option = {.key = "skip_training",
                            .value = false,
                            .help = "measure costs only, on fresh weights"}},
                {.option = {.key = "out",
                            .value = std::string(),
                            .help = "folder for everything; runs/ and compare- and the recipe's "
                                    "name if not given"},
                 .takes = "FOLDER"}},
      .run = run_in_torch_program,
  };
}

Command backward_command() {
  return {.name = "backward",
          .summary = "Time forward and backward passes of a model",
          .description = "What `compare` measures in a process of its own.",
          .examples = {{"longwave backward runs/delay --length 1000", "as JSON"}},
          .positionals = {{.name = "MODEL", .help = "run or model folder"}},
          .flags = {{.option = {.key = "length",
                                .value = int64_t{1024},
                                .help = "steps of the sequence",
                                .least = 1,
                                .most = 1e9}}},
          .run = run_in_torch_program,
          .listing = Command::Listing::kHidden};
}

}  // namespace longwave::cli
