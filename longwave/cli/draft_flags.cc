// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/draft_flags.h"

#include <fmt/format.h>

#include <algorithm>

namespace longwave::cli {

std::vector<Flag> draft_flags() {
  return {
      {.option = {.key = "draft",
                  .value = std::string(),
                  .help = "a smaller model of the same tokens that guesses ahead: the answer is "
                          "distributed as before, and at temperature 0 the same"},
       .takes = "MODEL"},
      {.option = {.key = "draft_tokens",
                  .value = int64_t{4},
                  .help = "guesses that the model judges in one pass",
                  .least = 1,
                  .most = runtime::Session::kMostProposed - 1},
       .takes = "COUNT"}};
}

std::string draft_line(const runtime::Generation& generation) {
  const runtime::DraftReport& report = generation.draft;
  const double steps = static_cast<double>(generation.ids.size()) - 1;
  const auto passes = static_cast<double>(std::max<int64_t>(report.passes, 1));
  const auto proposed = static_cast<double>(std::max<int64_t>(report.proposed, 1));
  return fmt::format("draft: {} of {} guesses taken ({:.0f} %), {:.2f} tokens a pass",
                     report.accepted, report.proposed,
                     100 * static_cast<double>(report.accepted) / proposed, steps / passes);
}

}  // namespace longwave::cli
