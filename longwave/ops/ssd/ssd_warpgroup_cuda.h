// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/ssd/ssd_march_layout_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_extents_cuda.h"

namespace longwave::ops::ssd_cuda_kernels {

/// The most heads of a block of warpgroups.
inline constexpr int kWarpgroupHeads = 2;

/// What warpgroups read and write, as SsdMarchLaunch, with operands as the copy engine sees them.
template <typename T>
struct SsdWarpgroupLaunch {
  SsdMarchLaunch<T> march;
  CUtensorMap signals, rows, reads, outputs;
};

/// Marches forwards by a plan of warpgroups, for kEnds or kOutputs. T has 16 bits.
template <typename T>
void launch_on_warpgroups(const SsdWarpgroupLaunch<T>& launch, SsdMarch march, CUstream_st* stream);

}  // namespace longwave::ops::ssd_cuda_kernels
