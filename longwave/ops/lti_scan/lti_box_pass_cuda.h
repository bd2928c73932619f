// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"

namespace longwave::ops::lti_cuda {

/// Bytes of device memory of such a pass.
size_t box_pass_bytes(const LtiScanCudaSize& size, const LtiCut& cut);

/// Queues a pass through boxes by its plan, if that has such, the GPU is a Hopper, there are up to
/// kLtiScanCudaModes modes, and rows begin at multiples of 16 bytes. Says whether it did.
bool queue_through_boxes(const ScanPass<__nv_bfloat16>& pass, std::byte* workspace,
                         cudaStream_t stream);

}  // namespace longwave::ops::lti_cuda
