// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_cluster_columns_cuda.cuh"
#include "longwave/ops/lti_scan/lti_cluster_words_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A block of a cluster scans four channels of eight lines. Four warps turn tiles of inputs into
// words of two steps; eight multiply, two a channel, each half of its modes; four turn the words of
// outputs, which come from all blocks, into boxes of the block's own two lines.
//
// A stage has two chunks of 32 steps. Rows 0 to 7 of a product are eight lines in the first chunk,
// rows 8 to 15 the same lines in the second one: what inputs add to states comes from one product
// for both, and a lane steps its states from chunk to chunk by itself.

template <int kModeTiles>
__global__ void __launch_bounds__(kClusterThreads, 1)
    cluster_scan_kernel(const __grid_constant__ ClusterScanLaunch launch) {
  auto& memory = *reinterpret_cast<ClusterScanMemory<kModeTiles>*>(shared_memory);
  const int64_t steps = ClusterWork::of(launch).part.lines.longest();
  const auto stages = static_cast<uint32_t>((steps + kTileSteps - 1) / kTileSteps);
  if (threadIdx.x == 0) memory.make();
  gpu::synchronize_cluster();
  // Registers go where constants are.
  if (threadIdx.x < kHalves * kGroupThreads) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 184;");
    if (threadIdx.x < kGroupThreads) {
      ColumnScan<kModeTiles, 0>(launch, memory).run(stages);
    } else {
      ColumnScan<kModeTiles, 1>(launch, memory).run(stages);
    }
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 72;");
    if (threadIdx.x < (kHalves + 1) * kGroupThreads) {
      make_words(launch, memory, stages);
    } else {
      write_boxes(launch, memory, stages);
    }
  }
  // No block leaves while others reach into it.
  gpu::synchronize_cluster();
}

}  // namespace longwave::ops::lti_cuda
