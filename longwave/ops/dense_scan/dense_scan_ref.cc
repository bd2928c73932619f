// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parallel.h"
#include "longwave/ops/dense_scan/dense_scan_kernels.h"

namespace longwave::ops {
namespace {

template <typename T>
void scan_sequence(const DenseScanArgs<T>& args, int64_t batch, int64_t channel,
                   std::span<T> next) {
  const View<const T, 2> A = args.A[channel];
  const View<T, 1> x = args.x[batch][channel];
  const int64_t n = A.extent(0);
  for (int64_t t = 0; t < args.u.extent(1); ++t) {
    const T u = args.u(batch, t, channel);
    T y = args.d.absent() ? T(0) : args.d(channel) * u;
    for (int64_t i = 0; i < n; ++i) {
      T sum = args.B(channel, i) * u;
      for (int64_t j = 0; j < n; ++j) sum += A(i, j) * x(j);
      next[static_cast<size_t>(i)] = sum;
      y += args.C(channel, i) * sum;
    }
    for (int64_t i = 0; i < n; ++i) x(i) = next[static_cast<size_t>(i)];
    args.y(batch, t, channel) = y;
  }
}

}  // namespace

template <typename T>
void dense_scan_ref(const DenseScanArgs<T>& args, std::span<T> next) {
  const auto n = static_cast<size_t>(args.A.extent(1));
  parallel_for(args.u.extent(2), 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      for (int64_t b = 0; b < args.u.extent(0); ++b) {
        scan_sequence(args, b, channel, next.subspan(static_cast<size_t>(channel) * n, n));
      }
    }
  });
}

template void dense_scan_ref(const DenseScanArgs<float>& args, std::span<float> next);
template void dense_scan_ref(const DenseScanArgs<double>& args, std::span<double> next);

}  // namespace longwave::ops
