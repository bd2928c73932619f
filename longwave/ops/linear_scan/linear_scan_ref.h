// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <type_traits>

#include "longwave/ops/linear_scan/linear_scan.h"

namespace longwave::ops {

/// The view with its extents of 1 repeated up to `batch` and `time`.
template <typename T>
View<T, 3> repeated(const View<T, 3>& view, int64_t batch, int64_t time) {
  return {view.data(),
          {batch, time, view.extent(2)},
          {view.extent(0) == 1 ? 0 : view.stride(0), view.extent(1) == 1 ? 0 : view.stride(1),
           view.stride(2)}};
}

/// The conjugate, which of a real number is itself.
template <typename T>
T conjugate(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    return value;
  } else {
    return std::conj(value);
  }
}

/// linear_scan line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void linear_scan_ref(const LinearScanArgs<T>& args) {
  const int64_t batch = args.b.extent(0), time = args.b.extent(1);
  const View<const T, 3> a = repeated(args.a, batch, time);
  for (int64_t s = 0; s < batch; ++s) {
    for (int64_t c = 0; c < args.b.extent(2); ++c) {
      T h = args.h0.absent() ? T(0) : args.h0(s, c);
      for (int64_t t = 0; t < time; ++t) {
        h = a(s, t, c) * h + args.b(s, t, c);
        args.h(s, t, c) = h;
      }
      args.final(s, c) = h;
    }
  }
}

/// linear_scan_backward line for line.
template <typename T>
void linear_scan_backward_ref(const LinearScanGradArgs<T>& args) {
  const int64_t batch = args.h.extent(0), time = args.h.extent(1), channels = args.h.extent(2);
  const View<const T, 3> a = repeated(args.a, batch, time);
  const View<T, 3> da = repeated(args.da, batch, time);
  if (!args.da.absent()) {
    for (int64_t i = 0; i < args.da.extent(0); ++i) {
      for (int64_t t = 0; t < args.da.extent(1); ++t) {
        for (int64_t c = 0; c < channels; ++c) args.da(i, t, c) = T(0);
      }
    }
  }
  for (int64_t s = 0; s < batch; ++s) {
    for (int64_t c = 0; c < channels; ++c) {
      const T h0 = args.h0.absent() ? T(0) : args.h0(s, c);
      T g = args.dfinal.absent() ? T(0) : args.dfinal(s, c);
      for (int64_t t = time - 1; t >= 0; --t) {
        g += args.dh(s, t, c);
        args.db(s, t, c) = g;
        if (!args.da.absent()) da(s, t, c) += conjugate(t > 0 ? args.h(s, t - 1, c) : h0) * g;
        g *= conjugate(a(s, t, c));
      }
      args.dh0(s, c) = g;
    }
  }
}

}  // namespace longwave::ops
