// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace longwave::text {

/// Unicode's normal form NFC: letters and their marks as one character where there is one. Bytes
/// that are not UTF-8 stay as they are.
std::string composed(std::string_view text);

}  // namespace longwave::text
