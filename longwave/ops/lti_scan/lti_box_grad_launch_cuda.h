// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include "longwave/ops/lti_scan/lti_carry_kernel_cuda.cuh"
#include "longwave/ops/lti_scan/lti_sum_parts_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Two blocks of a cluster run backwards through so many whole sequences of 16 channels. Each sees
// to half of the channels, and writes outputs of half of the sequences, in rows of 32 bytes.
inline constexpr int kGradLines = 4, kGradBlocks = 2, kGradOwnLines = kGradLines / kGradBlocks;
inline constexpr int kGradChannels = static_cast<int>(kLtiBoxChannels) / kGradBlocks;
// Steps of a stage, of a box and of a chunk.
inline constexpr int kGradStage = 256, kGradBox = 128, kGradBoxes = kGradStage / kGradBox;
inline constexpr int kGradChunk = 32, kGradChunks = kGradStage / kGradChunk;

// Warps that march, in groups of four that see to so many channels, warps that move boxes, and
// warps that see to the products within chunks, with registers a thread as they need them.
inline constexpr int kGradGroups = 2, kGradWarps = 4 * kGradGroups;
inline constexpr int kGradMovers = 4, kGradLagWarps = 4;
inline constexpr int kGroupChannels = kGradChannels / kGradGroups;
inline constexpr int kGradThreads = 32 * (kGradWarps + kGradMovers + kGradLagWarps);
inline constexpr int kGradRegisters = 192, kGradMoverRegisters = 64, kGradLagRegisters = 64;

struct BoxGradLaunch {
  CUtensorMap u_boxes, dy_boxes, du_boxes;
  Lines lines;
  View<const std::complex<float>, 2> a, c;
  View<const float, 1> d;                 // or absent
  View<const std::complex<float>, 3> h0;  // before each sequence
  View<std::complex<float>, 3> dh0;       // out
  Parts parts;                            // out, with lags
};

/// Queues du, dh0 and the sums that give da, dc and dd, of up to kLtiScanCudaModes modes, where the
/// gradient of the final state is zero, and then these: for Hopper GPUs.
void queue_box_grad(const BoxGradLaunch& launch, const GradientsLaunch<__nv_bfloat16>& gradients,
                    cudaStream_t stream, const char* where);

}  // namespace longwave::ops::lti_cuda
