// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/cli/command.h"
#include "longwave/cli/parse.h"

namespace longwave::cli {

/// What a program is made of: its name, its commands and what `--version` adds.
struct Program {
  std::string_view name;  ///< "longwave" or "longwave-train"
  std::vector<Command> commands;
  std::string torch;  ///< version of libtorch, or "" without it
};

/// Runs the command that the arguments (without the program's name) ask for.
///
/// The one place where exceptions become a message on stderr and an exit code.
ExitCode run_program(const Program& program, const std::vector<std::string>& arguments,
                     Console& console, const Environment& environment);

/// `main` on the process's own streams: ignores SIGPIPE, tells terminals from files, and treats a
/// reader that left as the end of the work, but a full disk as a failure.
int run_main(const Program& program, int count, char** arguments);

}  // namespace longwave::cli
