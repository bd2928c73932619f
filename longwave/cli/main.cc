// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/brief_spin.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/program.h"

int main(int count, char** arguments) {
  longwave::cli::spin_briefly(arguments);
  return longwave::cli::run_main(
      {.name = "longwave", .commands = longwave::cli::commands(), .torch = {}}, count, arguments);
}
