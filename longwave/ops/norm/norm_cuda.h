// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/norm/norm.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// row_norm on a GPU: device pointers, T is float, __half or __nv_bfloat16, and so is Y, the same
/// or
/// __nv_bfloat16 beside float; all else is float32.
///
/// A warp sees to a row.
///
/// Numerics   as RowNormArgs in float32; y is rounded once.
/// Cost       one read from memory, two more from the cache, one write.
/// Errors     InvalidArgument if shapes disagree; DeviceError if the driver refuses.
/// Threads    safe for distinct outputs; runs behind what is in the stream.
template <typename T, typename Y = T>
struct RowNormCudaArgs {
  RowNorm kind = RowNorm::kLayer;
  float epsilon = 1e-5f;
  View<const T, 2> x;      // (rows, channels)
  View<const float, 1> w;  // (channels)
  View<const float, 1> b;  // (channels), or absent
  View<Y, 2> y;            // (rows, channels) out; may be x
  View<float, 2> moments;  // (rows, 2) out: mean, inverse for the gradient; or absent
};

/// Gradients of row_norm_cuda, from the moments that it kept.
///
/// Numerics   dw and db are summed in float32 within kRowNormCudaRows rows and in double beyond, in
///            an order fixed by the shapes.
template <typename T, typename Y = T>
struct RowNormCudaGradArgs {
  RowNorm kind = RowNorm::kLayer;
  View<const T, 2> x;            // (rows, channels)
  View<const float, 1> w;        // (channels)
  View<const float, 2> moments;  // (rows, 2)
  View<const Y, 2> dy;           // (rows, channels)
  View<T, 2> dx;                 // (rows, channels) out; must not be dy
  View<float, 1> dw;             // (channels) out
  View<float, 1> db;             // (channels) out, or absent
};

/// Rows whose shares of dw and db a thread adds up.
inline constexpr int64_t kRowNormCudaRows = 64;

/// Bytes of device memory that the gradient takes.
size_t row_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels);

/// Queues the normalisation; see RowNormCudaArgs.
template <typename T, typename Y = T>
void row_norm_cuda(const RowNormCudaArgs<T, Y>& args, CUstream_st* stream);

/// Queues the gradients; `workspace` is device memory, aligned to 16 bytes.
template <typename T, typename Y = T>
void row_norm_cuda_backward(const RowNormCudaGradArgs<T, Y>& args, std::span<std::byte> workspace,
                            CUstream_st* stream);

}  // namespace longwave::ops
