// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace longwave::inspect {

/// "1,234,567".
std::string thousands(int64_t number);

/// "512 B", "32.0 KiB", "1.5 GiB".
std::string byte_text(int64_t bytes);

/// Three significant digits: "0.0123", "12,300"; "infinite", or "none" for NaN.
std::string short_number(double value);

}  // namespace longwave::inspect
