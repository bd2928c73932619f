// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "longwave/cli/command.h"
#include "longwave/runtime/sampler.h"

namespace longwave::cli {

/// The flags of commands that draw tokens.
std::vector<Flag> sampler_flags();

/// What they say.
runtime::SamplerOptions sampler_of(const Options& options);

}  // namespace longwave::cli
