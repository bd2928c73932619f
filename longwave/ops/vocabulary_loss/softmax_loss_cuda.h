// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// Cross entropy of rows of scores on a GPU, and its gradient in their place: device pointers, T is
/// float, __half or __nv_bfloat16.
///
///   loss[r] = -log softmax(s[r])[label[r]]
///   s[r, c] <- scale (softmax(s[r])[c] - [c = label[r]])       both 0 where a row is not asked
///
/// A block sees to a row.
///
/// Numerics   float32 throughout, gradients are rounded once. Sums have an order that the shapes
///            fix.
/// Cost       one read from memory, one more from the cache, one write; two exponentials a score.
/// Errors     InvalidArgument if shapes disagree; DeviceError if the driver refuses.
/// Threads    safe for distinct args; runs behind what is in the stream.
template <typename T>
struct SoftmaxLossCudaArgs {
  View<const int64_t, 1> label;  // (rows), below classes; negative: not asked
  View<const float, 1> scale;    // (1)
  View<T, 2> scores;             // (rows, classes) in and out
  View<float, 1> loss;           // (rows) out
};

/// Queues the loss; see SoftmaxLossCudaArgs.
template <typename T>
void softmax_loss_cuda(const SoftmaxLossCudaArgs<T>& args, CUstream_st* stream);

}  // namespace longwave::ops
