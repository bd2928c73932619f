// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/dplr_scan/dplr_scan.h"
#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/dplr_scan/dplr_step_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlock = DplrScanFactors::kBlock;

using Tag = hn::CappedTag<float, kBlock>;
using Vec = hn::Vec<Tag>;

/// Modes whose states lie in a vector each; (re, im) pairs in memory.
struct States {
  Vec re, im;
};

HWY_INLINE Vec load(const float* at) { return hn::Load(Tag(), at); }

HWY_INLINE float sum_of(Vec x) { return hn::GetLane(hn::SumOfLanes(Tag(), x)); }

/// The state of one channel of one sequence.
class ChannelState {
 public:
  ChannelState(const View<std::complex<float>, 3>& x, int64_t batch, int64_t channel)
      : data_(reinterpret_cast<float*>(x.data() + batch * x.stride(0) + channel * x.stride(1))),
        modes_(x.extent(2)),
        stride_(2 * x.stride(2)) {}

  HWY_INLINE States load(int64_t n) const {
    const Tag d;
    States x;
    if (full(n)) {
      hn::LoadInterleaved2(d, data_ + 2 * n, x.re, x.im);
      return x;
    }
    HWY_ALIGN float re[kBlock] = {}, im[kBlock] = {};
    for (int64_t i = 0; i < count(n); ++i) {
      re[i] = data_[(n + i) * stride_];
      im[i] = data_[(n + i) * stride_ + 1];
    }
    return {hn::Load(d, re), hn::Load(d, im)};
  }

  HWY_INLINE void store(States x, int64_t n) const {
    const Tag d;
    if (full(n)) {
      hn::StoreInterleaved2(x.re, x.im, d, data_ + 2 * n);
      return;
    }
    HWY_ALIGN float re[kBlock] = {}, im[kBlock] = {};
    hn::Store(x.re, d, re);
    hn::Store(x.im, d, im);
    for (int64_t i = 0; i < count(n); ++i) {
      data_[(n + i) * stride_] = re[i];
      data_[(n + i) * stride_ + 1] = im[i];
    }
  }

  int64_t modes() const { return modes_; }

 private:
  int64_t count(int64_t n) const {
    return std::min(static_cast<int64_t>(hn::Lanes(Tag())), modes_ - n);
  }
  bool full(int64_t n) const {
    return stride_ == 2 && count(n) == static_cast<int64_t>(hn::Lanes(Tag()));
  }

  float* data_;
  int64_t modes_;
  int64_t stride_;
};

/// Factors of the vector of modes that begins at mode n.
HWY_INLINE const float* factors_at(const float* f, int64_t rank, int64_t n) {
  return f + n / kBlock * DplrScanFactors::numbers(rank) * kBlock + n % kBlock;
}

/// s_r of one channel.
HWY_INLINE float projected(const ChannelState& state, const float* f, int64_t rank, int64_t r) {
  Vec sum = hn::Zero(Tag());
  for (int64_t n = 0; n < state.modes(); n += static_cast<int64_t>(hn::Lanes(Tag()))) {
    const float* g = factors_at(f, rank, n) + (8 + 4 * r) * kBlock;
    const States x = state.load(n);
    sum = hn::NegMulAdd(load(g + kBlock), x.im, hn::MulAdd(load(g), x.re, sum));
  }
  return sum_of(sum);
}

/// One step of one channel; returns Re(c x).
HWY_INLINE float step_channel(const ChannelState& state, const float* all, int64_t rank, float u) {
  const Tag d;
  const Vec input = hn::Set(d, u);
  const Vec s = hn::Set(d, projected(state, all, rank, 0));
  const Vec r = hn::Set(d, rank == 2 ? projected(state, all, rank, 1) : 0.0f);
  Vec y = hn::Zero(d);
  for (int64_t n = 0; n < state.modes(); n += static_cast<int64_t>(hn::Lanes(d))) {
    const float* f = factors_at(all, rank, n);
    const Vec a_re = load(f), a_im = load(f + kBlock);
    const States x = state.load(n);
    Vec re = hn::MulAdd(load(f + 2 * kBlock), input, hn::Mul(load(f + 6 * kBlock), s));
    Vec im = hn::MulAdd(load(f + 3 * kBlock), input, hn::Mul(load(f + 7 * kBlock), s));
    if (rank == 2) {
      re = hn::MulAdd(load(f + 10 * kBlock), r, re);
      im = hn::MulAdd(load(f + 11 * kBlock), r, im);
    }
    re = hn::NegMulAdd(a_im, x.im, hn::MulAdd(a_re, x.re, re));
    im = hn::MulAdd(a_im, x.re, hn::MulAdd(a_re, x.im, im));
    state.store({re, im}, n);
    y = hn::NegMulAdd(load(f + 5 * kBlock), im, hn::MulAdd(load(f + 4 * kBlock), re, y));
  }
  return sum_of(y);
}

void steps(const DplrScanArgs<float>& args) {
  const DplrScanFactors& factors = *args.factors;
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  // Multiply-adds, some 10 microseconds of them, that are worth waking a thread for.
  constexpr int64_t kWorth = 131072;
  const int64_t grain = std::max<int64_t>(1, kWorth / (12 * factors.modes() * time * batch + 1));
  parallel_for(factors.channels(), grain, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t b = 0; b < batch; ++b) {
        const ChannelState state(args.x, b, c);
        for (int64_t t = 0; t < time; ++t) {
          const float u = args.u(b, t, c);
          args.y(b, t, c) =
              step_channel(state, factors.of_modes(c), factors.rank(), u) + factors.d()[c] * u;
        }
      }
    }
  });
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(steps);

void dplr_step_cpu(const DplrScanArgs<float>& args) {
  if (args.u.size() == 0) return;
  HWY_DYNAMIC_DISPATCH(steps)(args);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
