// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "longwave/cli/command.h"

namespace longwave::cli {

Command backward_command();
Command bench_command();
Command chat_command();
Command compare_command();
Command convert_command();
Command quantize_command();
Command data_command();
Command docs_command();
Command doctor_command();
Command eval_command();
Command generate_command();
Command inspect_command();
Command logits_command();
Command perplexity_command();
Command stream_command();
Command tokenize_command();
Command train_command();
Command verify_command();

/// Every command in the order of the overview. Those that need libtorch hand over to
/// longwave-train, which has the same table with `run` replaced (commands_torch.h).
std::vector<Command> commands();

}  // namespace longwave::cli
