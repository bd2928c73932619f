// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>

#include "longwave/cli/command.h"

namespace longwave::cli {

/// The file name of this program with the commands that need libtorch.
inline constexpr std::string_view kTorchProgram = "longwave-train";

/// Where the torch program lies: beside this one, else on PATH.
std::optional<std::filesystem::path> find_torch_program();

/// Replaces this process by the torch program with the same command and arguments; returns only if
/// there is none or this already is it.
///
/// Errors     IoError if the program is there but does not start.
void hand_over(const Call& call);

/// `run` of commands that only the torch program has.
///
/// Errors     IoError that says how to build it.
ExitCode run_in_torch_program(Call& call);

}  // namespace longwave::cli
