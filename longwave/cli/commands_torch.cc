// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands_torch.h"

namespace longwave::cli {

std::vector<TorchRun> torch_runs() {
  return {{.command = "train", .run = run_train},
          {.command = "compare", .run = run_compare},
          {.command = "backward", .run = run_backward},
          {.command = "verify", .run = run_verify_with_training}};
}

}  // namespace longwave::cli
