// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/cli/command.h"

namespace longwave::cli {

/// --context, for commands that run sequences; see runtime::set_context.
inline Flag context_flag() {
  return {.option = {.key = "context",
                     .value = int64_t{0},
                     .help = "positions that attention layers have memory for: the longest "
                             "sequence; 0 = 4096, or all that the model knows if fewer",
                     .least = 0,
                     .most = 1 << 24}};
}

}  // namespace longwave::cli
