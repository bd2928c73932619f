// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/base/parallel.h"

namespace longwave::ops {

/// Elements below which a second thread does not pay.
inline constexpr int64_t kRowsGrain = 16384;

/// parallel_for over rows, in pieces that are worth a thread.
template <typename Body>
void over_rows(int64_t rows, int64_t channels, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, kRowsGrain / std::max<int64_t>(channels, 1)), body);
}

/// True if the last extents are adjacent in memory, as row kernels want them.
template <typename... Views>
bool adjacent(const Views&... views) {
  const auto one = [](const auto& view) {
    const int last = static_cast<int>(view.extents().size()) - 1;
    return view.absent() || view.stride(last) == 1 || view.extent(last) <= 1;
  };
  return (one(views) && ...);
}

}  // namespace longwave::ops
