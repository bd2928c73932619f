// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/lti_scan/lti_box_scan_cuda.cuh"
#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"

namespace longwave::ops::lti_cuda {

void queue_box_scan(const BoxScanLaunch& launch, int64_t modes, cudaStream_t stream,
                    const char* where) {
  const int64_t blocks =
      groups_of(launch.lines.count(), kBoxLines) * groups_of(launch.lines.channels, kBoxChannels);
  with_mode_tiles(modes, [&](auto tiles) {
    constexpr int kTiles = decltype(tiles)::value, kBytes = sizeof(BoxScanMemory<kTiles>);
    static_assert(kBytes <= gpu::kHopperCapacity.shared_bytes);
    queue(box_scan_kernel<kTiles>, gpu::blocks_for(blocks, 1, where), kBoxThreads, kBytes, launch,
          stream, where);
  });
}

}  // namespace longwave::ops::lti_cuda
