// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "longwave/cli/command.h"

namespace longwave::cli {

/// What a command does in longwave-train instead of handing over.
struct TorchRun {
  std::string_view command;
  ExitCode (*run)(Call& call);
};

ExitCode run_train(Call& call);

ExitCode run_compare(Call& call);

/// The hidden command that `compare` measures training with.
ExitCode run_backward(Call& call);

/// `verify` with the training form among the views.
ExitCode run_verify_with_training(Call& call);

/// Every command that longwave-train runs itself with libtorch.
std::vector<TorchRun> torch_runs();

}  // namespace longwave::cli
