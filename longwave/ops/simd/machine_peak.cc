// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/simd/machine_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "longwave/base/function_ref.h"
#include "longwave/base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/simd/machine_peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Independent multiply-adds, enough to hide their latency; returns how many floats took part.
double multiply_adds(int64_t rounds, float* result) {
  constexpr int kChains = 12;
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.5f);
  hn::Vec<decltype(d)> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = hn::Set(d, static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kChains; ++i) chain[i] = hn::MulAdd(chain[i], factor, factor);
  }
  for (int i = 1; i < kChains; ++i) chain[0] = hn::Add(chain[0], chain[i]);
  *result = hn::GetLane(chain[0]);
  return static_cast<double>(rounds) * kChains * static_cast<double>(hn::Lanes(d));
}

void axpy(const float* x, float* y, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.5f);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {
namespace {

HWY_EXPORT(multiply_adds);
HWY_EXPORT(axpy);

constexpr int64_t kRounds = 2'000'000;
constexpr int64_t kFloats = 16 << 20;
constexpr int kRepeats = 5;

// The shortest of several runs, in seconds.
double best_of(FunctionRef<void()> body) {
  double best = 1e30;
  for (int i = 0; i < kRepeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
  }
  return best;
}

}  // namespace

MachinePeak measure_machine_peak() {
  const int64_t threads = thread_count();
  MachinePeak peak;
  std::vector<double> done(threads, 0.0);
  std::vector<float> results(threads, 0.0f);
  const double compute = best_of([&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        done[i] = HWY_DYNAMIC_DISPATCH(multiply_adds)(kRounds, &results[i]);
      }
    });
  });
  for (const double count : done) peak.flops += 2 * count / compute;

  std::vector<float> x(kFloats, 1.0f), y(kFloats, 1.0f);
  const double stream = best_of([&] {
    parallel_for(kFloats, kFloats / threads, [&](int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(axpy)(x.data() + begin, y.data() + begin, end - begin);
    });
  });
  peak.bytes_per_second = 3.0 * sizeof(float) * static_cast<double>(kFloats) / stream;
  return peak;
}

}  // namespace longwave::ops
#endif
