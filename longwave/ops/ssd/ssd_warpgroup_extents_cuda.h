// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

namespace longwave::ops::ssd_cuda_kernels {

/// Steps of a chunk on warpgroups, rows of its tiles in shared memory.
inline constexpr int kWarpgroupSteps = 64;

/// The most states that a warpgroup holds.
inline constexpr int kWarpgroupStates = 128;

/// Columns of a state as warpgroups keep it: one tile or two.
inline int64_t warpgroup_columns(int64_t state) {
  return state <= kWarpgroupStates / 2 ? kWarpgroupStates / 2 : kWarpgroupStates;
}

/// Calls what(std::integral_constant<int, n>) with the columns n of a state.
template <typename What>
void with_warpgroup_columns(int64_t state, What&& what) {
  if (warpgroup_columns(state) < kWarpgroupStates) {
    what(std::integral_constant<int, kWarpgroupStates / 2>());
  } else {
    what(std::integral_constant<int, kWarpgroupStates>());
  }
}

}  // namespace longwave::ops::ssd_cuda_kernels
