// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops::gpu {

// Kernels of a stream, one of which begins while the one before it ends (queue_early). Only files
// named *_hopper_cuda.cu can use them: older GPUs have neither instruction.

/// Lets the next kernel begin where there is room, when all blocks have come here.
__device__ inline void let_next_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/// Waits for the end of the kernel before, and of all that it waited for; then what they wrote is
/// there. Each thread that writes to device memory, or reads what they wrote, must come here first.
__device__ inline void await_kernel_before() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

}  // namespace longwave::ops::gpu
