// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace longwave::cli {

/// Numbers of tokens apart by commas or white space. DataError at `where` for anything else.
std::vector<int64_t> token_list(std::string_view text, std::string_view where);

}  // namespace longwave::cli
