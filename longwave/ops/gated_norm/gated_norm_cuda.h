// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/gated_norm/gated_norm.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// gated_norm on a GPU: device pointers, T is float, __half or __nv_bfloat16, all else float32.
///
/// A block sees to a group of a row and keeps it in registers; a warp to small groups, and to those
/// of more than 8192 channels, which it reads again.
///
/// Numerics   as GatedNormArgs in float32; y is rounded once.
/// Cost       one read, one write; an exponential an element. Twice as many where groups are not
/// kept,
///            the second read mostly from the cache.
/// Errors     InvalidArgument if shapes disagree or channels is no multiple of groups; DeviceError
///            if the driver refuses.
/// Threads    safe for distinct outputs; runs behind what is in the stream.
template <typename T>
struct GatedNormCudaArgs {
  GateOrder order = GateOrder::kBefore;
  int64_t groups = 1;
  float epsilon = 1e-5f;
  View<const T, 2> x;      // (rows, channels)
  View<const T, 2> z;      // (rows, channels), or absent for no gate
  View<const float, 1> w;  // (channels)
  View<T, 2> y;            // (rows, channels) out
  View<float, 2> inverse;  // (rows, groups) out
};

/// Gradients of gated_norm_cuda, from the inverses that it kept; formulas at GatedNormGradArgs.
///
/// Where blocks keep groups, of channels that are adjacent and aligned to four, each sees to some
/// rows one after the other; the next one's operands are on their way meanwhile.
///
/// Numerics   dw is summed in float32 within at most kGatedNormCudaRows rows and in double beyond,
/// in
///            an order fixed by the shapes.
template <typename T>
struct GatedNormCudaGradArgs {
  GateOrder order = GateOrder::kBefore;
  View<const T, 2> x;            // (rows, channels)
  View<const T, 2> z;            // (rows, channels), or absent
  View<const float, 1> w;        // (channels)
  View<const float, 2> inverse;  // (rows, groups)
  View<const T, 2> dy;           // (rows, channels)
  View<T, 2> dx;                 // (rows, channels) out
  View<T, 2> dz;                 // (rows, channels) out; absent if and only if z is
  View<float, 1> dw;             // (channels) out
};

/// Rows whose shares of dw a thread adds up, at most.
inline constexpr int64_t kGatedNormCudaRows = 64;

/// Bytes of device memory that the gradient takes.
size_t gated_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels);

/// Queues the normalisation; see GatedNormCudaArgs.
template <typename T>
void gated_norm_cuda(const GatedNormCudaArgs<T>& args, CUstream_st* stream);

/// Queues the gradients; `workspace` is device memory, aligned to 16 bytes.
template <typename T>
void gated_norm_cuda_backward(const GatedNormCudaGradArgs<T>& args, std::span<std::byte> workspace,
                              CUstream_st* stream);

}  // namespace longwave::ops
