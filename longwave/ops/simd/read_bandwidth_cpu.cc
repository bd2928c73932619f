// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "longwave/base/parallel.h"
#include "longwave/base/tensor.h"
#include "longwave/ops/simd/read_bandwidth.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/simd/read_bandwidth_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Sums four parts of an array side by side. Returns something that depends on all.
float read_all(const float* HWY_RESTRICT x, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), part = count / 4 / lanes * lanes;
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t i = 0; i < part; i += lanes) {
    a = hn::Add(a, hn::LoadU(d, x + i));
    b = hn::Add(b, hn::LoadU(d, x + part + i));
    c = hn::Add(c, hn::LoadU(d, x + 2 * part + i));
    e = hn::Add(e, hn::LoadU(d, x + 3 * part + i));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(read_all);

double measured_read_bandwidth() {
  constexpr int64_t kFloats = int64_t{64} << 20, kBlock = int64_t{64} << 10;
  constexpr int kPasses = 12;
  static const Tensor numbers(DType::kFloat32, {kFloats});
  const float* const x = numbers.elements<float>().data();
  const auto kernel = HWY_DYNAMIC_DISPATCH(read_all);
  std::atomic<float> sink = 0;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(kFloats / kBlock, 1, [&](int64_t begin, int64_t end) {
      sink = kernel(x + begin * kBlock, (end - begin) * kBlock);
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(numbers.bytes()) / taken.count());
  }
  return best;
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
