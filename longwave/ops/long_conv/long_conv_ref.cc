// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/long_conv/long_conv.h"

namespace longwave::ops {
namespace {

/// Taps of a kernel, 0 of one that is absent.
template <typename T>
int64_t taps_of(const View<T, 2>& K) {
  return K.absent() ? 0 : K.extent(1);
}

template <typename T>
void zero(const View<T, 2>& x) {
  for (int64_t i = 0; i < (x.absent() ? 0 : x.extent(0)); ++i) {
    for (int64_t j = 0; j < x.extent(1); ++j) x(i, j) = 0;
  }
}

}  // namespace

template <typename T>
void long_conv_ref(const LongConvArgs<T>& args) {
  const int64_t time = args.u.extent(1);
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    for (int64_t c = 0; c < args.u.extent(2); ++c) {
      for (int64_t t = 0; t < time; ++t) {
        T sum = args.d.absent() ? T(0) : args.d(c) * args.u(b, t, c);
        for (int64_t l = 0; l < std::min(t + 1, taps_of(args.K)); ++l) {
          sum += args.K(c, l) * args.u(b, t - l, c);
        }
        for (int64_t l = 0; l < std::min(time - 1 - t, taps_of(args.K_ahead)); ++l) {
          sum += args.K_ahead(c, l) * args.u(b, t + 1 + l, c);
        }
        args.y(b, t, c) = sum;
      }
    }
  }
}

template <typename T>
void long_conv_grad_ref(const LongConvGradArgs<T>& args) {
  const int64_t time = args.u.extent(1);
  const int64_t channels = args.u.extent(2);
  zero(args.dK);
  zero(args.dK_ahead);
  for (int64_t c = 0; c < (args.d.absent() ? 0 : channels); ++c) args.dd(c) = 0;
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < time; ++t) args.du(b, t, c) = 0;
      for (int64_t t = 0; t < time; ++t) {
        const T dy = args.dy(b, t, c);
        if (!args.d.absent()) {
          args.du(b, t, c) += args.d(c) * dy;
          args.dd(c) += args.u(b, t, c) * dy;
        }
        for (int64_t l = 0; l < std::min(t + 1, taps_of(args.K)); ++l) {
          args.du(b, t - l, c) += args.K(c, l) * dy;
          args.dK(c, l) += args.u(b, t - l, c) * dy;
        }
        for (int64_t l = 0; l < std::min(time - 1 - t, taps_of(args.K_ahead)); ++l) {
          args.du(b, t + 1 + l, c) += args.K_ahead(c, l) * dy;
          args.dK_ahead(c, l) += args.u(b, t + 1 + l, c) * dy;
        }
      }
    }
  }
}

template void long_conv_ref(const LongConvArgs<float>&);
template void long_conv_ref(const LongConvArgs<double>&);
template void long_conv_grad_ref(const LongConvGradArgs<float>&);
template void long_conv_grad_ref(const LongConvGradArgs<double>&);

}  // namespace longwave::ops
