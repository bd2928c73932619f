// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace longwave::io {

/// True if the bytes start as a gzip file does.
bool is_gzip(std::span<const std::byte> bytes);

/// The content of a gzip file in memory, all of its members; `where` names it in messages.
///
/// Errors     DataError if it is damaged, cut short, or holds more than `limit` bytes.
std::vector<std::byte> gunzip(std::span<const std::byte> bytes, uint64_t limit,
                              std::string_view where);

}  // namespace longwave::io
