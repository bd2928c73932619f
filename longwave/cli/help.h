// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "longwave/cli/command.h"

namespace longwave::cli {

/// The help of one command: examples first.
std::string help_text(const Command& command, const Console& console);

/// What `longwave` says when asked nothing.
std::string overview_text(std::span<const Command> commands, const Console& console);

/// The reference page docs/reference/cli.md: every command, option, default and variable.
std::string reference_page(std::span<const Command> commands);

}  // namespace longwave::cli
