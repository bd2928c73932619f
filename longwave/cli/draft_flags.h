// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "longwave/cli/command.h"
#include "longwave/runtime/generate.h"

namespace longwave::cli {

/// --draft and --draft-tokens, for commands that generate; see runtime::Speculator.
std::vector<Flag> draft_flags();

/// What a draft brought, in words.
std::string draft_line(const runtime::Generation& generation);

}  // namespace longwave::cli
