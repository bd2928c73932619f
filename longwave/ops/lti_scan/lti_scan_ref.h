// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <vector>

#include "longwave/ops/lti_scan/lti_scan.h"

namespace longwave::ops {

/// lti_scan line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void lti_scan_ref(const LtiScanArgs<T>& args) {
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    for (int64_t c = 0; c < args.u.extent(2); ++c) {
      for (int64_t t = 0; t < args.u.extent(1); ++t) {
        T y = args.d.absent() ? T(0) : args.d(c) * args.u(b, t, c);
        for (int64_t n = 0; n < args.a.extent(1); ++n) {
          std::complex<T>& h = args.h(b, c, n);
          h = args.a(c, n) * h + args.u(b, t, c);
          y += std::real(args.c(c, n) * h);
        }
        args.y(b, t, c) = y;
      }
    }
  }
}

/// The gradient by the adjoint recurrence on stored states, for one mode of one sequence.
template <typename T>
void lti_scan_backward_mode_ref(const LtiScanGradArgs<T>& args, int64_t b, int64_t c, int64_t n) {
  const int64_t time = args.u.extent(1);
  const std::complex<T> a = args.a(c, n), readout = args.c(c, n);
  // states[t] = h[t-1]
  std::vector<std::complex<T>> states{args.h0(b, c, n)};
  for (int64_t t = 0; t < time; ++t) states.push_back(a * states.back() + args.u(b, t, c));

  std::complex<T> adjoint = args.dh.absent() ? std::complex<T>(0) : args.dh(b, c, n);
  for (int64_t t = time - 1; t >= 0; --t) {
    const T dy = args.dy(b, t, c);
    args.dc(c, n) += dy * std::conj(states[t + 1]);
    adjoint += std::conj(readout) * dy;
    args.da(c, n) += adjoint * std::conj(states[t]);
    args.du(b, t, c) += std::real(adjoint);
    adjoint *= std::conj(a);
  }
  args.dh0(b, c, n) = adjoint;
}

/// lti_scan_backward by stored states and their adjoints: another way than the kernel's.
template <typename T>
void lti_scan_backward_ref(const LtiScanGradArgs<T>& args) {
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  for (int64_t c = 0; c < args.a.extent(0); ++c) {
    for (int64_t n = 0; n < args.a.extent(1); ++n) args.da(c, n) = args.dc(c, n) = 0;
    if (!args.dd.absent()) args.dd(c) = 0;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t t = 0; t < time; ++t) {
        args.du(b, t, c) = args.d.absent() ? T(0) : args.d(c) * args.dy(b, t, c);
        if (!args.dd.absent()) args.dd(c) += args.dy(b, t, c) * args.u(b, t, c);
      }
      for (int64_t n = 0; n < args.a.extent(1); ++n) lti_scan_backward_mode_ref(args, b, c, n);
    }
  }
}

}  // namespace longwave::ops
