// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace longwave {

/// The words one after another, with `between` between them.
std::string joined(std::span<const std::string> words, std::string_view between);
std::string joined(std::span<const int64_t> numbers, std::string_view between);

}  // namespace longwave
