// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace longwave::cli {

/// Runs this program again with other arguments and waits for it; its talk goes to our stderr.
///
/// Returns    what it wrote to stdout; nothing if it failed or was killed.
/// Errors     IoError if it cannot be started.
std::optional<std::string> run_self(const std::vector<std::string>& arguments);

}  // namespace longwave::cli
