// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/cuda/early_begin_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_grad_cuda.cuh"
#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"

namespace longwave::ops::lti_cuda {

namespace {

__global__ void __launch_bounds__(kGradientThreads)
    box_gradients_kernel(const __grid_constant__ GradientsLaunch<__nv_bfloat16> launch) {
  gpu::await_kernel_before();
  write_gradients<SumsForm<__nv_bfloat16>>(launch);
}

}  // namespace

void queue_box_grad(const BoxGradLaunch& launch, const GradientsLaunch<__nv_bfloat16>& gradients,
                    cudaStream_t stream, const char* where) {
  static_assert(sizeof(BoxGradMemory) <= gpu::kHopperCapacity.shared_bytes);
  const int64_t clusters =
      groups_of(launch.lines.batch, kGradLines) * groups_of(launch.lines.channels, kBoxChannels);
  queue(box_grad_kernel, gpu::blocks_for(clusters * kGradBlocks, 1, where), kGradThreads,
        sizeof(BoxGradMemory), launch, stream, where);
  queue_early(box_gradients_kernel, gpu::blocks_for(launch.lines.channels, 1, where),
              kGradientThreads, 0, gradients, stream, where);
}

}  // namespace longwave::ops::lti_cuda
