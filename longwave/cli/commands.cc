// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/commands.h"

namespace longwave::cli {

std::vector<Command> commands() {
  return {train_command(),    eval_command(),       stream_command(),   generate_command(),
          chat_command(),     perplexity_command(), logits_command(),   verify_command(),
          inspect_command(),  convert_command(),    quantize_command(), data_command(),
          tokenize_command(), bench_command(),      compare_command(),  doctor_command(),
          docs_command(),     backward_command()};
}

}  // namespace longwave::cli
