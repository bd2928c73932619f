// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "longwave/ops/gated_norm/gated_norm.h"

namespace longwave::ops {

/// silu(z) and its slope; 1 and 0 where there is no gate.
template <typename T>
struct GateValue {
  T value = 1;
  T slope = 0;

  GateValue(const View<const T, 2>& z, int64_t row, int64_t channel) {
    if (z.absent()) return;
    const T at = z(row, channel), sigmoid = 1 / (1 + std::exp(-at));
    value = at * sigmoid;
    slope = sigmoid * (1 + at * (1 - sigmoid));
  }
};

/// gated_norm line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void gated_norm_ref(const GatedNormArgs<T>& args) {
  const int64_t size = args.x.extent(1) / args.groups;
  const bool before = args.order == GateOrder::kBefore;
  for (int64_t r = 0; r < args.x.extent(0); ++r) {
    for (int64_t g = 0; g < args.groups; ++g) {
      T square = 0;
      for (int64_t c = g * size; c < (g + 1) * size; ++c) {
        const T v = args.x(r, c) * (before ? GateValue<T>(args.z, r, c).value : T(1));
        square += v * v;
      }
      const T inverse = 1 / std::sqrt(square / T(size) + args.epsilon);
      for (int64_t c = g * size; c < (g + 1) * size; ++c) {
        args.y(r, c) = args.x(r, c) * GateValue<T>(args.z, r, c).value * inverse * args.w(c);
      }
      if (!args.inverse.absent()) args.inverse(r, g) = inverse;
    }
  }
}

/// gated_norm_backward line for line.
template <typename T>
void gated_norm_backward_ref(const GatedNormGradArgs<T>& args) {
  const int64_t channels = args.x.extent(1), groups = args.inverse.extent(1);
  const int64_t size = channels / groups;
  const bool before = args.order == GateOrder::kBefore;
  for (int64_t c = 0; c < channels; ++c) args.dw(c) = 0;
  for (int64_t r = 0; r < args.x.extent(0); ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const T inverse = args.inverse(r, g);
      T product = 0;
      for (int64_t c = g * size; c < (g + 1) * size; ++c) {
        // In both orders g u = dy w s x inverse, which is dw's term times w.
        const T term = args.dy(r, c) * GateValue<T>(args.z, r, c).value * args.x(r, c) * inverse;
        args.dw(c) += term;
        product += term * args.w(c);
      }
      const T mean = product / T(size);
      for (int64_t c = g * size; c < (g + 1) * size; ++c) {
        const GateValue<T> gate(args.z, r, c);
        const T x = args.x(r, c), dyw = args.dy(r, c) * args.w(c);
        const T u = x * inverse * (before ? gate.value : T(1));
        const T dv = inverse * (dyw * (before ? T(1) : gate.value) - u * mean);
        args.dx(r, c) = before ? dv * gate.value : dv;
        if (args.dz.absent()) continue;
        args.dz(r, c) = (before ? dv * x : dyw * u) * gate.slope;
      }
    }
  }
}

}  // namespace longwave::ops
