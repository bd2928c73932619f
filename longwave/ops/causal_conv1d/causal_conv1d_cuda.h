// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/causal_conv1d/causal_conv1d.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// causal_conv1d on a GPU: device pointers, T is float, __half or __nv_bfloat16; taps and bias stay
/// float32.
///
/// A thread sees to a stretch of steps of a channel, or of four that are adjacent and aligned in
/// all operands, and keeps the last inputs in registers. Of a single step it also writes the
/// history behind it.
///
/// Numerics   as CausalConv1dArgs in float32; y is rounded once. The same bits for any batch,
///            length and cut.
/// Cost       one read and one write; fastest when channels are adjacent.
/// Errors     InvalidArgument if shapes disagree or width exceeds kCausalConv1dCudaWidth;
///            DeviceError if the driver refuses.
/// Threads    safe for distinct args; runs behind what is in the stream. Outputs must not overlap
///            other operands.
template <typename T>
struct CausalConv1dCudaArgs {
  ConvActivation activation = ConvActivation::kNone;
  View<const T, 3> x;             // (batch, time, channels)
  View<const float, 2> w;         // (channels, width)
  View<const float, 1> b;         // (channels), or absent for zero
  View<const T, 3> history;       // (batch, width - 1, channels), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<T, 3> y;                   // (batch, time, channels) out
  View<T, 3> final_history;       // (batch, width - 1, channels) out, or absent
};

/// Gradients of causal_conv1d_cuda, as CausalConv1dGradArgs.
///
/// Numerics   dw and db are summed in float32 within kCausalConv1dCudaSteps steps and in double
///            beyond, in an order fixed by the shapes.
template <typename T>
struct CausalConv1dCudaGradArgs {
  ConvActivation activation = ConvActivation::kNone;
  View<const T, 3> x;             // (batch, time, channels)
  View<const float, 2> w;         // (channels, width)
  View<const float, 1> b;         // (channels), or absent for zero
  View<const T, 3> history;       // (batch, width - 1, channels), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  View<const T, 3> dy;            // (batch, time, channels)
  View<const T, 3> dfinal;        // (batch, width - 1, channels), or absent for zero
  View<T, 3> dx;                  // (batch, time, channels) out
  View<float, 2> dw;              // (channels, width) out
  View<float, 1> db;              // (channels) out, or absent
  View<T, 3> dhistory;            // (batch, width - 1, channels) out, or absent
};

/// The longest filter on a GPU, and the steps of a thread.
inline constexpr int64_t kCausalConv1dCudaWidth = 8;
inline constexpr int64_t kCausalConv1dCudaSteps = 64;

/// Bytes of device memory that the gradient takes.
size_t causal_conv1d_cuda_backward_workspace_bytes(const CausalConv1dShape& shape);

/// Queues the convolution; see CausalConv1dCudaArgs.
template <typename T>
void causal_conv1d_cuda(const CausalConv1dCudaArgs<T>& args, CUstream_st* stream);

/// Queues the gradients; `workspace` is device memory, aligned to 16 bytes.
template <typename T>
void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<T>& args,
                                 std::span<std::byte> workspace, CUstream_st* stream);

}  // namespace longwave::ops
