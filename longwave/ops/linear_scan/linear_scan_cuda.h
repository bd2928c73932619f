// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// What states are kept in between calls: the type of the operands, but float for 16-bit numbers.
template <typename T>
struct LinearScanStateOf {
  using Type = T;
};
template <>
struct LinearScanStateOf<__half> {
  using Type = float;
};
template <>
struct LinearScanStateOf<__nv_bfloat16> {
  using Type = float;
};
template <typename T>
using LinearScanState = typename LinearScanStateOf<T>::Type;

/// linear_scan on a GPU: device pointers, T is float, __half, __nv_bfloat16 or std::complex<float>.
///
///   h[t] = a[t] h[t-1] + b[t]
///
/// A block takes 32 channels of a sequence through time, 64 steps at once: each warp joins 8 steps,
/// the warps' results are joined through shared memory, and each warp goes over its steps again.
/// Where sequences and channels are too few for the chip, time is cut in segments: a first pass
/// finds what each does to the state. A single step takes a thread for each channel.
///
/// Source     as LinearScanArgs; Blelloch 1990 for the joining.
/// Numerics   float32 throughout; h is rounded to T once. Sums have an order that the shapes fix:
///            the same arguments give the same bits.
/// Cost       two multiply-adds an element, eight if complex. One read of a and b and one write,
///            another read where time is cut; fastest when channels are adjacent.
/// Errors     InvalidArgument if shapes disagree, an operand is not aligned to its numbers or the
///            workspace is too small; DeviceError if the driver refuses. Faults of a kernel show at
///            the next synchronisation.
/// Threads    safe for distinct args; runs behind what is in the stream. Outputs must not overlap
///            other operands, except that h may be b and final may be h0.
template <typename T>
struct LinearScanCudaArgs {
  View<const T, 3> a;                    // (batch or 1, time or 1, channels)
  View<const T, 3> b;                    // (batch, time, channels)
  View<const LinearScanState<T>, 2> h0;  // (batch, channels) h[-1], or absent for zero
  View<T, 3> h;                          // (batch, time, channels) out: every state
  View<LinearScanState<T>, 2> final;     // (batch, channels) out: h[time-1]
};

/// Gradients of linear_scan_cuda, as LinearScanGradArgs.
///
/// Numerics   as the scan; sums over time and over the batch in double. The factors of da are the
///            states as they were rounded to T.
/// Cost       one read of a, h and dh and one write of db, and of da; another read of a and dh
///            where time is cut, and of h and db where a has extent 1 in batch alone.
/// Errors     as the scan.
/// Threads    as the scan.
template <typename T>
struct LinearScanCudaGradArgs {
  View<const T, 3> a;                        // (batch or 1, time or 1, channels)
  View<const T, 3> h;                        // (batch, time, channels) as linear_scan_cuda gave it
  View<const LinearScanState<T>, 2> h0;      // (batch, channels), or absent for zero
  View<const T, 3> dh;                       // (batch, time, channels)
  View<const LinearScanState<T>, 2> dfinal;  // (batch, channels), or absent for zero
  View<T, 3> da;                             // out, as a; or absent if it is not wanted
  View<T, 3> db;                             // (batch, time, channels) out
  View<LinearScanState<T>, 2> dh0;           // (batch, channels) out
};

/// The extents that scratch memory on a GPU depends on.
struct LinearScanCudaSize {
  int64_t batch, time, channels;
};

/// How many segments a sequence is cut into; the shapes alone decide.
int64_t linear_scan_segments(const LinearScanCudaSize& size);

/// Bytes of device memory that the scan or its gradient takes, of any type.
size_t linear_scan_cuda_workspace_bytes(const LinearScanCudaSize& size, int64_t segments);

/// Queues the scan in that many segments at most; `workspace` is device memory, aligned to 16
/// bytes.
template <typename T>
void linear_scan_cuda(const LinearScanCudaArgs<T>& args, int64_t segments,
                      std::span<std::byte> workspace, CUstream_st* stream);

/// Queues the gradients; `workspace` as for the scan.
template <typename T>
void linear_scan_cuda_backward(const LinearScanCudaGradArgs<T>& args, int64_t segments,
                               std::span<std::byte> workspace, CUstream_st* stream);

}  // namespace longwave::ops
