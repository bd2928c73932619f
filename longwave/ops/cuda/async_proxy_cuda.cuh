// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops::gpu {

/// Lets tensor cores and the copy engine see what this thread wrote to shared memory; a barrier
/// must follow.
__device__ inline void show_to_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace longwave::ops::gpu
