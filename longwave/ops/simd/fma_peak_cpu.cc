// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "longwave/base/parallel.h"
#include "longwave/ops/simd/fma_peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/simd/fma_peak_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vec = hn::Vec<Tag>;

/// Twelve independent chains hide the latency of the units. Returns something that depends on all.
float multiply_add(int64_t rounds) {
  const Tag d;
  const Vec factor = hn::Set(d, 0.999f), step = hn::Set(d, 0.001f);
  Vec a0 = hn::Iota(d, 0.0f), a1 = hn::Iota(d, 1.0f), a2 = hn::Iota(d, 2.0f);
  Vec a3 = hn::Iota(d, 3.0f), a4 = hn::Iota(d, 4.0f), a5 = hn::Iota(d, 5.0f);
  Vec a6 = hn::Iota(d, 6.0f), a7 = hn::Iota(d, 7.0f), a8 = hn::Iota(d, 8.0f);
  Vec a9 = hn::Iota(d, 9.0f), b0 = hn::Iota(d, 10.0f), b1 = hn::Iota(d, 11.0f);
  for (int64_t i = 0; i < rounds; ++i) {
    a0 = hn::MulAdd(a0, factor, step);
    a1 = hn::MulAdd(a1, factor, step);
    a2 = hn::MulAdd(a2, factor, step);
    a3 = hn::MulAdd(a3, factor, step);
    a4 = hn::MulAdd(a4, factor, step);
    a5 = hn::MulAdd(a5, factor, step);
    a6 = hn::MulAdd(a6, factor, step);
    a7 = hn::MulAdd(a7, factor, step);
    a8 = hn::MulAdd(a8, factor, step);
    a9 = hn::MulAdd(a9, factor, step);
    b0 = hn::MulAdd(b0, factor, step);
    b1 = hn::MulAdd(b1, factor, step);
  }
  a0 = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(a4, a5));
  a6 = hn::Add(hn::Add(hn::Add(a6, a7), hn::Add(a8, a9)), hn::Add(b0, b1));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(a0, a6)));
}

/// Operations of one round of multiply_add.
int64_t operations_of_round() { return 12 * 2 * static_cast<int64_t>(hn::Lanes(Tag())); }

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(multiply_add);
HWY_EXPORT(operations_of_round);

double measured_fma_peak() {
  constexpr int64_t kRounds = 20000;
  constexpr int kRepeats = 100;
  const auto kernel = HWY_DYNAMIC_DISPATCH(multiply_add);
  const double operations =
      static_cast<double>(kRounds * HWY_DYNAMIC_DISPATCH(operations_of_round)());
  std::atomic<float> sink = 0;
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    sink = kernel(kRounds);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, operations / elapsed.count());
  }
  return best * thread_count();
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
