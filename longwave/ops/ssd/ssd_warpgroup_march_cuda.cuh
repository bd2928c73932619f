// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_mover_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_states_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_steps_cuda.cuh"
#include "longwave/ops/ssd/ssd_warpgroup_weights_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

// Threads of a block: a warpgroup for each head, one for weights, and one of the warps that find
// decays and of the mover's; and their registers, of which states take most.
inline constexpr int kWarpgroupThreads = (kWarpgroupHeads + 2) * gpu::kWarpgroup;
inline constexpr int kStateRegisters = 176, kWeightRegisters = 112, kStepRegisters = 48;

/// Marches forwards through the chunks of a segment on Hopper's tensor cores.
template <typename T, int kStates, SsdMarch kMarch>
__global__ void __launch_bounds__(kWarpgroupThreads, 1)
    warpgroup_march_kernel(const __grid_constant__ SsdWarpgroupLaunch<T> launch) {
  extern __shared__ __align__(1024) unsigned char bytes[];
  auto& memory = *reinterpret_cast<WarpgroupMemory<kStates>*>(bytes);
  const WarpgroupPlace place(launch.march, kMarch);
  if (place.heads <= 0) return;
  if (threadIdx.x == 0) memory.make_barriers(place.heads);
  __syncthreads();
  static_assert(kWarpgroupHeads * kStateRegisters + kWeightRegisters + kStepRegisters <=
                kWarpgroupThreads / gpu::kWarpgroup * gpu::registers_at_begin(kWarpgroupThreads));
  const int part = gpu::part_of_block(gpu::kWarpgroup);
  if (part < kWarpgroupHeads) {
    gpu::take_registers<kStateRegisters>();
    if (part < place.heads) {
      WarpgroupStates<T, kStates, kMarch>(launch.march, place, part, memory).run();
    }
  } else if (part == kWarpgroupHeads) {
    gpu::give_registers<kWeightRegisters>();
    if (kMarch == SsdMarch::kOutputs) WarpgroupWeights<T, kStates>(place, memory).run();
  } else {
    gpu::give_registers<kStepRegisters>();
    const int warp = gpu::part_of_block(32) % (gpu::kWarpgroup / 32);
    if (warp < kStepWarps) {
      WarpgroupSteps<T, kStates>(launch.march.in, place, memory).run(warp);
    } else if (threadIdx.x % 32 == 0) {
      WarpgroupMover<T, kStates, kMarch>(launch, place, memory).run();
    }
  }
}

}  // namespace longwave::ops::ssd_cuda_kernels
