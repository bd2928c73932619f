// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace longwave::data {

/// "a, b" as {"a", "b"}: names separated by commas, blanks around them left out.
std::vector<std::string> listed_names(const std::string& text);

}  // namespace longwave::data
