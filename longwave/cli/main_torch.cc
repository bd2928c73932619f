// SPDX-License-Identifier: Apache-2.0
#include <torch/version.h>

#include <algorithm>

#include "longwave/cli/commands.h"
#include "longwave/cli/commands_torch.h"
#include "longwave/cli/hand_over.h"
#include "longwave/cli/program.h"

int main(int count, char** arguments) {
  namespace cli = longwave::cli;
  cli::Program program{
      .name = cli::kTorchProgram, .commands = cli::commands(), .torch = TORCH_VERSION};
  for (const cli::TorchRun& run : cli::torch_runs()) {
    const auto found = std::ranges::find(program.commands, run.command, &cli::Command::name);
    if (found != program.commands.end()) found->run = run.run;
  }
  return cli::run_main(program, count, arguments);
}
