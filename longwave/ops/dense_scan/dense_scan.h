// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Time-invariant scan with a full state matrix: the recurrent view of LSSL, one system a channel.
///
///   x[t] = A x[t-1] + B u[t]
///   y[t] = C x[t] + d u[t]
///
/// Operands may have any strides; the kernel is fastest where a column of A is adjacent in memory
/// (A.stride(1) == 1), as are x, B and C.
///
/// Source     Gu et al. 2021, arXiv:2110.13985 (LSSL), section 3.1.
/// Numerics   sums in the type of the operands, in an order that depends on n alone.
/// Cost       n^2 + 2 n multiply-adds an element; no allocation.
/// Errors     InvalidArgument if extents disagree.
/// Threads    parallel over channels; the result does not depend on how many.
template <typename T>
struct DenseScanArgs {
  View<const T, 3> u;  // (batch, time, channels)
  View<const T, 3> A;  // (channels, n, n)
  View<const T, 2> B;  // (channels, n)
  View<const T, 2> C;  // (channels, n)
  View<const T, 1> d;  // (channels), or absent for no skip
  View<T, 3> x;        // (batch, channels, n) in: x[-1], out: x[time-1]
  View<T, 3> y;        // (batch, time, channels) out
};

/// Bytes of workspace that dense_scan takes.
size_t dense_scan_workspace_bytes(int64_t channels, int64_t n);

void dense_scan(const DenseScanArgs<float>& args, Workspace& workspace);
void dense_scan(const DenseScanArgs<double>& args, Workspace& workspace);

}  // namespace longwave::ops
