// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/lti_scan/lti_carry_kernel_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Some channels of a scan.
struct ClusterPart {
  Lines lines;
  int64_t first_channel;
  const uint4* tiles;                        // (channels, ScanTiles::kCount, 32)
  const float2* hops;                        // (channels, kScanHops, ScanTiles::kModes)
  int64_t finer;                             // segments of h for each of the lines'
  Borders h;                                 // the state before each segment, if they are cut,
  View<const std::complex<float>, 3> first;  // or before the first step; absent for zero
  View<std::complex<float>, 3> last;         // out: (batch, channels, modes) after all whole stages

  __host__ __device__ int64_t clusters() const {
    return (lines.count() + kLtiClusterLines - 1) / kLtiClusterLines *
           ((lines.channels + kLtiClusterChannels - 1) / kLtiClusterChannels);
  }
};

struct ClusterScanLaunch {
  bool backwards;  // signals are scanned from their last step on
  CUtensorMap u_boxes, y_boxes;
  View<__nv_bfloat16, 3> y;  // as it lies in memory
  ClusterPart parts[2];
};

/// Queues the scan of 2 or 4 tiles of 8 modes on clusters of blocks, for Hopper GPUs.
void queue_cluster_scan(const ClusterScanLaunch& launch, int mode_tiles, cudaStream_t stream,
                        const char* where);

}  // namespace longwave::ops::lti_cuda
