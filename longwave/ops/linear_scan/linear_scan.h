// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Time-varying diagonal scan, elementwise over channels: S5 (also with irregular steps), LRU.
///
///   h[t] = a[t] h[t-1] + b[t]                  real or complex
///
/// T is float, double or std::complex of them. `a` may have extent 1 in batch, in time or in both:
/// that one factor then serves all sequences, or all steps.
///
/// Source     Blelloch 1990; Smith et al. 2023, arXiv:2208.04933 (S5), section 2.2.
/// Numerics   float: float32 products and sums, fused; subnormals count as zero. double: plain.
///            h[t] never depends on later operands, and nothing depends on the number of threads.
/// Cost       one multiply-add an element, four if complex: bound by memory. No allocation.
/// Operands
///            whose channels are not adjacent (stride 1) run through the reference.
/// Errors     InvalidArgument if shapes disagree. Extents of 0 and 1 are fine.
/// Threads    safe for distinct args; outputs must not overlap other operands, except that h may
///            be b and final may be h0.
template <typename T>
struct LinearScanArgs {
  View<const T, 3> a;   // (batch or 1, time or 1, channels)
  View<const T, 3> b;   // (batch, time, channels)
  View<const T, 2> h0;  // (batch, channels) h[-1], or absent for zero
  View<T, 3> h;         // (batch, time, channels) out: every state
  View<T, 2> final;     // (batch, channels) out: h[time-1], which is h[-1] if time is 0
};

/// Gradients of linear_scan. A complex gradient is dL/d(re) + i dL/d(im).
///
///   g[t] = dh[t] + conj(a[t+1]) g[t+1]         g[time-1] = dh[time-1] + dfinal
///   db[t] = g[t]      da[t] = conj(h[t-1]) g[t]      dh0 = conj(a[0]) g[0]
///
/// Where a has extent 1, da is summed over the steps or sequences that it served; no gradient with
/// the extents of b is ever stored for it.
///
/// Numerics   float: sums over time in float32 within 32 steps and in double beyond; sums over the
///            batch in double, or in float32 where da has an extent in time. The order is fixed by
///            the shapes, so the result does not depend on the number of threads.
/// Cost       two multiply-adds an element, eight if complex: bound by memory. No allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct args; outputs must not overlap other operands.
template <typename T>
struct LinearScanGradArgs {
  View<const T, 3> a;       // (batch or 1, time or 1, channels)
  View<const T, 3> h;       // (batch, time, channels) the states that linear_scan gave
  View<const T, 2> h0;      // (batch, channels), or absent for zero
  View<const T, 3> dh;      // (batch, time, channels)
  View<const T, 2> dfinal;  // (batch, channels), or absent for zero
  View<T, 3> da;            // out, as a; or absent if it is not wanted
  View<T, 3> db;            // (batch, time, channels) out
  View<T, 2> dh0;           // (batch, channels) out
};

/// Scratch bytes that `linear_scan_backward` takes at most, for any length and type.
size_t linear_scan_backward_workspace_bytes(int64_t batch, int64_t channels);

/// Runs the scan; see LinearScanArgs. With time 1 it is the step of a stream.
template <typename T>
void linear_scan(const LinearScanArgs<T>& args);

/// Computes the gradients; see LinearScanGradArgs.
template <typename T>
void linear_scan_backward(const LinearScanGradArgs<T>& args, Workspace& workspace);

}  // namespace longwave::ops
