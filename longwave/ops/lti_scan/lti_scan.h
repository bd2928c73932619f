// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Time-invariant diagonal scan: the recurrence of S4D, DSS and every diagonal SISO layer.
///
///   h[t] = a h[t-1] + u[t]                     one complex number a mode
///   y[t] = Re(sum_n c_n h_n[t]) + d u[t]
///
/// The input gain of a layer is folded into c (c = 2 C B for conjugate pairs stored once), so the
/// state is that of unit input gain. All operands may have any strides; kernels are fastest when
/// channels are adjacent in u and y.
///
/// Source     Gu et al. 2022, arXiv:2206.11893 (S4D), section 3; the recurrent view.
/// Numerics   float: products and sums in float32, fused where the processor can; subnormals count
///            as zero. double: plain double. y[t] never depends on a later u, not even in its last
///            bit, and nothing depends on the number of threads.
/// Cost       6 multiply-adds a mode and element; no allocation.
/// Errors     InvalidArgument if shapes disagree. Extents of 0 and 1 are fine.
/// Threads    safe for distinct args; h and y must not overlap other operands.
template <typename T>
struct LtiScanArgs {
  View<const T, 3> u;                // (batch, time, channels)
  View<const std::complex<T>, 2> a;  // (channels, modes)
  View<const std::complex<T>, 2> c;  // (channels, modes)
  View<const T, 1> d;                // (channels), or absent for no skip
  View<std::complex<T>, 3> h;        // (batch, channels, modes) in: h[-1], out: h[time-1]
  View<T, 3> y;                      // (batch, time, channels) out
};

/// Gradients of lti_scan with respect to all its inputs.
///
/// A complex gradient is dL/d(re) + i dL/d(im). With s[t] = dh[t]/da and the adjoint state g,
///
///   s[t] = a s[t-1] + h[t-1]                   g[t] = conj(a) g[t+1] + conj(c) dy[t]
///   dc = conj(sum_t dy[t] h[t])                du[t] = sum_n Re(g_n[t]) + d dy[t]
///   da = conj(c sum_t dy[t] s[t]) + dh conj(s[time-1])
///   dd = sum_t dy[t] u[t]                      dh0 = conj(a) g[0]
///
/// where g starts from g[time-1] = conj(c) dy[time-1] + dh. Because h and s run forward together
/// and g runs backward alone, no state is kept between the forward and the backward pass.
///
/// Numerics   float: sums over time in float32 within 256 steps, in double beyond; the order of all
///            sums is fixed by the shapes, so the result does not depend on the number of threads.
/// Cost       19 multiply-adds a mode and element, about 3 times the forward pass; no allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct args; outputs must not overlap other operands.
template <typename T>
struct LtiScanGradArgs {
  View<const T, 3> u;                 // (batch, time, channels)
  View<const std::complex<T>, 2> a;   // (channels, modes)
  View<const std::complex<T>, 2> c;   // (channels, modes)
  View<const T, 1> d;                 // (channels), or absent
  View<const std::complex<T>, 3> h0;  // (batch, channels, modes) the state before the first step
  View<const T, 3> dy;                // (batch, time, channels)
  View<const std::complex<T>, 3> dh;  // (batch, channels, modes) of the final state, or absent
  View<T, 3> du;                      // out, as u
  View<std::complex<T>, 2> da;        // out, as a
  View<std::complex<T>, 2> dc;        // out, as c
  View<T, 1> dd;                      // out, as d: absent if and only if d is
  View<std::complex<T>, 3> dh0;       // out, as h0
};

/// Scratch bytes that `lti_scan` takes at most, for any length.
size_t lti_scan_workspace_bytes(int64_t batch, int64_t channels, int64_t modes);

/// Scratch bytes that `lti_scan_backward` takes at most, for any length.
size_t lti_scan_backward_workspace_bytes(int64_t batch, int64_t channels, int64_t modes);

/// Runs the scan; see LtiScanArgs. Without steps (time 0) the state stays as it is.
void lti_scan(const LtiScanArgs<float>& args, Workspace& workspace);
void lti_scan(const LtiScanArgs<double>& args, Workspace& workspace);

/// Runs one step of the scan (time 1) without scratch memory; fastest when modes are adjacent.
void lti_scan_step(const LtiScanArgs<float>& args);
void lti_scan_step(const LtiScanArgs<double>& args);

/// Computes the gradients; see LtiScanGradArgs.
void lti_scan_backward(const LtiScanGradArgs<float>& args, Workspace& workspace);
void lti_scan_backward(const LtiScanGradArgs<double>& args, Workspace& workspace);

}  // namespace longwave::ops
