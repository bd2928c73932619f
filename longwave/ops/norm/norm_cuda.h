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
/// or __nv_bfloat16 beside float; all else is float32. A branch may be added to what is normalised:
///
///   sum = x + branch, y = norm(sum)
///
/// A warp sees to a short row, a block to a longer one, and keeps it in registers up to
/// kRowNormCudaHeld channels. Fastest where these are adjacent and rows aligned to four of them.
///
/// Numerics   as RowNormArgs in float32; y is rounded once. With a branch T is float.
/// Cost       one read, one write; two more reads from the cache of rows that are not kept.
/// Errors     InvalidArgument if shapes disagree; DeviceError if the driver refuses.
/// Threads    safe for distinct outputs; runs behind what is in the stream.
template <typename T, typename Y = T>
struct RowNormCudaArgs {
  RowNorm kind = RowNorm::kLayer;
  float epsilon = 1e-5f;
  View<const T, 2> x;       // (rows, channels)
  View<const float, 1> w;   // (channels)
  View<const float, 1> b;   // (channels), or absent
  View<Y, 2> y;             // (rows, channels) out; may be x
  View<float, 2> moments;   // (rows, 2) out: mean, inverse for the gradient; or absent
  View<const Y, 2> branch;  // (rows, channels), or absent
  View<T, 2> sum;           // (rows, channels) out; absent if and only if branch is
};

/// Gradients of row_norm_cuda, from the moments that it kept.
///
/// A block sees to some rows one after the other; the next one's operands are on their way
/// meanwhile.
///
/// Numerics   dw and db are summed in float32 within at most kRowNormCudaRows rows and in double
///            beyond, in an order fixed by the shapes.
/// Cost       one read, one write; a second read of rows that are not kept.
template <typename T, typename Y = T>
struct RowNormCudaGradArgs {
  RowNorm kind = RowNorm::kLayer;
  View<const T, 2> x;            // (rows, channels) what was normalised: the sum, with a branch
  View<const float, 1> w;        // (channels)
  View<const float, 2> moments;  // (rows, 2)
  View<const Y, 2> dy;           // (rows, channels)
  View<T, 2> dx;                 // (rows, channels) out; must not be dy
  View<float, 1> dw;             // (channels) out
  View<float, 1> db;             // (channels) out, or absent
  View<const T, 2> dsum;         // (rows, channels) of the sum beside the norm, or absent for 0
  View<Y, 2> dbranch;            // (rows, channels) out: dx once more, or absent
};

/// Channels of the longest rows that are kept in registers.
inline constexpr int64_t kRowNormCudaHeld = 8192;

/// Rows whose shares of dw and db a block adds up, at most.
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
