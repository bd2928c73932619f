// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/lti_scan/lti_carry_kernel_cuda.cuh"

namespace longwave::ops::lti_cuda {

// What a block sees to.
inline constexpr int kBoxLines = static_cast<int>(kLtiBoxLines);
inline constexpr int kBoxStage = static_cast<int>(kLtiBoxStage);
// Warps that compute, one a channel, and warps that move boxes of so many steps, with registers a
// thread as they need them.
inline constexpr int kBoxWarps = static_cast<int>(kLtiBoxChannels), kBoxMovers = 4;
inline constexpr int kBoxThreads = 32 * (kBoxWarps + kBoxMovers);
inline constexpr int kBoxRegisters = 104, kBoxMoverRegisters = 64;
inline constexpr int kBoxSteps = 128;

struct BoxScanLaunch {
  CUtensorMap u_boxes, y_boxes;
  ScanSystem system;         // an adjoint scans signals from their last step on
  View<__nv_bfloat16, 3> y;  // as it lies in memory
  Lines lines;
  int64_t finer;                             // segments of h for each of the lines'
  Borders h;                                 // the state before each segment, if they are cut,
  View<const std::complex<float>, 3> first;  // or before the first step; absent for zero
  View<std::complex<float>, 3> last;         // out: (batch, channels, modes) after all whole chunks
};

/// Queues the scan of up to kLtiScanCudaModes modes through boxes, for Hopper GPUs.
void queue_box_scan(const BoxScanLaunch& launch, int64_t modes, cudaStream_t stream,
                    const char* where);

}  // namespace longwave::ops::lti_cuda
