// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_grad_warpgroup_pairs_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_rows_cuda.cuh"
#include "longwave/ops/ssd/ssd_grad_warpgroup_signals_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Finds the gradients of one chunk, head after head, with a warpgroup for each of pairs of steps,
/// dx, dC and dB, which meet once a head; but for the gradients of steps.
template <typename T, int kStates>
__global__ void __launch_bounds__((WarpgroupGradBlock<T, kStates>::kThreads), 1)
    warpgroup_gradient_kernel(const __grid_constant__ SsdWarpgroupGradLaunch<T> launch) {
  extern __shared__ __align__(1024) unsigned char bytes[];
  using Block = WarpgroupGradBlock<T, kStates>;
  const Block block(launch, *reinterpret_cast<typename Block::Shared*>(bytes));
  block.open();
  const int role = threadIdx.x / gpu::kWarpgroup;
  if (role == 0) {
    gpu::take_registers<152>();
    WarpgroupGradPairs<T, kStates>(block).run();
  } else if (role == 1) {
    gpu::give_registers<88>();
    WarpgroupGradSignals<T, kStates>(block).run();
  } else {
    gpu::take_registers<136>();
    WarpgroupGradRows<T, kStates>(block).run();
  }
}

}  // namespace longwave::ops::ssd_cuda_kernels
