// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops::gpu {

/// Most bytes of the first GPU that tensors held at once in this process, as PyTorch's
/// max_memory_allocated counts them; waits for nothing.
///
/// Errors     DeviceError in a build without CUDA.
int64_t peak_bytes();

}  // namespace longwave::ops::gpu
