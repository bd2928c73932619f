// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace longwave {

/// Asks the system to make memory that is not yet written of large pages, where it is large: what
/// is read from end to end then misses fewer translations. A hint that may be ignored.
void prefer_large_pages(void* data, size_t bytes) noexcept;

}  // namespace longwave
