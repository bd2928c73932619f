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
template <typename T>
struct LtiScanArgs {
  View<const T, 3> u;                // (batch, time, channels)
  View<const std::complex<T>, 2> a;  // (channels, modes)
  View<const std::complex<T>, 2> c;  // (channels, modes)
  View<const T, 1> d;                // (channels), or absent for no skip
  View<std::complex<T>, 3> h;        // (batch, channels, modes) in: h[-1], out: h[time-1]
  View<T, 3> y;                      // (batch, time, channels) out
};

/// States between blocks of `kLtiScanBlock` steps, kept by the forward pass for the backward pass.
inline constexpr int64_t kLtiScanBlock = 256;

/// Gradients of lti_scan. A complex gradient is dL/d(re) + i dL/d(im).
template <typename T>
struct LtiScanGradArgs {
  View<const T, 3> u;
  View<const std::complex<T>, 2> a;
  View<const std::complex<T>, 2> c;
  View<const T, 1> d;
  View<const std::complex<T>, 4> blocks;  // (blocks, batch, channels, modes) state before each block
  View<const T, 3> dy;                    // (batch, time, channels)
  View<const std::complex<T>, 3> dh;      // (batch, channels, modes) of the final state, or absent
  View<T, 3> du;
  View<std::complex<T>, 2> da;
  View<std::complex<T>, 2> dc;
  View<T, 1> dd;                          // absent if d is
  View<std::complex<T>, 3> dh0;           // of the initial state
};

}  // namespace longwave::ops
