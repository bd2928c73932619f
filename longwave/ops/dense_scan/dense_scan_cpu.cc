// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/dense_scan/dense_scan_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/dense_scan/dense_scan_cpu.cc"
#include <hwy/foreach_target.h>
// Highway asks for this order.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using Tag = hn::ScalableTag<float>;

/// One channel's system, rows adjacent.
struct System {
  const float* A;
  int64_t column_stride;
  const float* B;
  const float* C;
  int64_t n;
};

/// `Vectors` registers of rows from `row` on: next = A x + B u. Returns their share of C next.
template <int Vectors>
HWY_INLINE float rows_block(const System& system, const float* HWY_RESTRICT x, float u, int64_t row,
                            float* HWY_RESTRICT next) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<Tag> sums[Vectors];
  const auto input = hn::Set(d, u);
  for (int v = 0; v < Vectors; ++v) {
    sums[v] = hn::Mul(hn::LoadU(d, system.B + row + v * lanes), input);
  }
  for (int64_t j = 0; j < system.n; ++j) {
    const float* column = system.A + j * system.column_stride + row;
    const auto xj = hn::Set(d, x[j]);
    for (int v = 0; v < Vectors; ++v) {
      sums[v] = hn::MulAdd(hn::LoadU(d, column + v * lanes), xj, sums[v]);
    }
  }
  auto y = hn::Zero(d);
  for (int v = 0; v < Vectors; ++v) {
    hn::StoreU(sums[v], d, next + row + v * lanes);
    y = hn::MulAdd(hn::LoadU(d, system.C + row + v * lanes), sums[v], y);
  }
  return hn::GetLane(hn::SumOfLanes(d, y));
}

/// The rows that fill no register, one at a time.
HWY_INLINE float single_row(const System& system, const float* HWY_RESTRICT x, float u, int64_t row,
                            float* HWY_RESTRICT next) {
  float sum = system.B[row] * u;
  for (int64_t j = 0; j < system.n; ++j) sum += system.A[j * system.column_stride + row] * x[j];
  next[row] = sum;
  return system.C[row] * sum;
}

HWY_INLINE float step(const System& system, const float* x, float u, float* next) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Tag()));
  float y = 0;
  int64_t row = 0;
  for (; row + 4 * lanes <= system.n; row += 4 * lanes) {
    y += rows_block<4>(system, x, u, row, next);
  }
  for (; row + lanes <= system.n; row += lanes) y += rows_block<1>(system, x, u, row, next);
  for (; row < system.n; ++row) y += single_row(system, x, u, row, next);
  return y;
}

HWY_ATTR void scan_channel(const DenseScanArgs<float>& args, int64_t channel, float* spare) {
  const int64_t n = args.A.extent(1);
  const System system{args.A[channel].data(), args.A.stride(2), args.B[channel].data(),
                      args.C[channel].data(), n};
  const float skip = args.d.absent() ? 0.0f : args.d(channel);
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    float* const state = args.x[b][channel].data();
    float* x = state;
    float* next = spare;
    for (int64_t t = 0; t < args.u.extent(1); ++t) {
      const float u = args.u(b, t, channel);
      args.y(b, t, channel) = step(system, x, u, next) + skip * u;
      std::swap(x, next);
    }
    if (x != state) std::copy_n(x, n, state);
  }
}

}  // namespace

HWY_ATTR void scan_channels(const DenseScanArgs<float>& args, int64_t begin, int64_t end,
                            float* next) {
  const int64_t n = args.A.extent(1);
  for (int64_t channel = begin; channel < end; ++channel) {
    scan_channel(args, channel, next + channel * n);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(scan_channels);

void dense_scan_cpu(const DenseScanArgs<float>& args, std::span<float> next) {
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 18;
  const int64_t n = args.A.extent(1);
  const int64_t work = std::max<int64_t>(args.u.extent(0) * args.u.extent(1) * n * n, 1);
  parallel_for(args.u.extent(2), std::max<int64_t>(kGrain / work, 1),
               [&](int64_t begin, int64_t end) {
                 HWY_DYNAMIC_DISPATCH(scan_channels)(args, begin, end, next.data());
               });
}

}  // namespace longwave::ops
#endif
