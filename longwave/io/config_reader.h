// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// What the readers of TOML and JSON share.
namespace longwave::io {

inline constexpr int kMostLevels = 32;

/// Throws ConfigError at "where:line".
[[noreturn]] void reject_config(std::string_view where, int64_t line, std::string what,
                                std::string got = {}, std::string fix = {});

/// "prefix.name"; ConfigError if the name is empty or would be mistaken for two.
std::string joined_key(std::string_view prefix, std::string_view name, std::string_view where,
                       int64_t line);

inline constexpr const char* kListsHoldIntegers = "a list may hold integers only";

}  // namespace longwave::io
