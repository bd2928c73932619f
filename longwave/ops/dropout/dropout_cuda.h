// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

struct CUstream_st;

namespace longwave::ops {

/// A mask of dropout on a GPU; see DropoutRule.
///
/// The seed is read where the kernel runs, so that a recorded kernel draws anew each time.
///
/// Numerics   the same bits as the mask that nn::dropout_mask makes on the CPU.
/// Errors     InvalidArgument if rate is not in [0, 1); DeviceError if the driver refuses.
/// Threads    safe for distinct masks; runs behind what is in the stream.
struct DropoutCudaArgs {
  double rate = 0;
  View<const int64_t, 1> seed;  // (1), whose bits are those of the seed
  uint64_t place = 0;           // in the model
  View<float, 1> mask;          // out, dense
};
void dropout_mask_cuda(const DropoutCudaArgs& args, CUstream_st* stream);

}  // namespace longwave::ops
