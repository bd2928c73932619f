// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/ops/dplr_scan/dplr_scan.h"
#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/dplr_scan/dplr_scan_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

constexpr int64_t kBlock = DplrScanFactors::kBlock;

using Vec = ChannelVec;

HWY_INLINE Vec load(const float* at) { return hn::Load(ChannelTag(), at); }

/// One sequence and a group of its channels; the state in lanes: (modes, 2, kBlock).
class Row {
 public:
  Row(const DplrScanArgs<float>& args, int64_t batch, ChannelGroup group, float* state)
      : args_(args), batch_(batch), group_(group), state_(state) {}

  void load_state() const {
    std::fill_n(state_, args_.x.extent(2) * 2 * kBlock, 0.0f);
    for (int64_t c = 0; c < group_.count; ++c) {
      for (int64_t n = 0; n < args_.x.extent(2); ++n) {
        const std::complex<float> x = args_.x(batch_, group_.first + c, n);
        state_[2 * n * kBlock + c] = x.real();
        state_[(2 * n + 1) * kBlock + c] = x.imag();
      }
    }
  }
  void store_state() const {
    for (int64_t c = 0; c < group_.count; ++c) {
      for (int64_t n = 0; n < args_.x.extent(2); ++n) {
        args_.x(batch_, group_.first + c, n) = {state_[2 * n * kBlock + c],
                                                state_[(2 * n + 1) * kBlock + c]};
      }
    }
  }

  HWY_INLINE float* state() const { return state_; }
  HWY_INLINE Vec u(int64_t t) const {
    return load_channels(&args_.u(batch_, t, group_.first), args_.u.stride(2), group_);
  }
  HWY_INLINE void set_y(int64_t t, Vec y) const {
    store_channels(y, &args_.y(batch_, t, group_.first), args_.y.stride(2), group_);
  }

 private:
  const DplrScanArgs<float>& args_;
  int64_t batch_;
  ChannelGroup group_;
  float* state_;
};

/// What one sequence carries from mode to mode and from step to step.
template <int kRank>
struct Sums {
  Vec y_re, y_im;  // of the output of this step
  Vec s_re, s_im;  // of s_0 of the next step
  Vec r_re, r_im;  // of s_1, if there is one
  Vec s, r;        // s_0 and s_1 of this step
  Vec u;

  HWY_INLINE void begin() { y_re = y_im = s_re = s_im = r_re = r_im = hn::Zero(ChannelTag()); }
  HWY_INLINE void end() {
    s = hn::Add(s_re, s_im);
    if constexpr (kRank == 2) r = hn::Add(r_re, r_im);
  }

  /// Adds g_r x to the sums; `g` points at g_0, and g_1 follows after e_1.
  HWY_INLINE void project(const float* g, Vec re, Vec im) {
    s_re = hn::MulAdd(load(g), re, s_re);
    s_im = hn::NegMulAdd(load(g + kBlock), im, s_im);
    if constexpr (kRank == 2) {
      r_re = hn::MulAdd(load(g + 4 * kBlock), re, r_re);
      r_im = hn::NegMulAdd(load(g + 5 * kBlock), im, r_im);
    }
  }

  /// One step of one mode with factors `f`, its state at `x`.
  HWY_INLINE void update(const float* f, float* x) {
    const Vec a_re = load(f), a_im = load(f + kBlock);
    const Vec re = load(x), im = load(x + kBlock);
    Vec new_re = hn::MulAdd(load(f + 2 * kBlock), u, hn::Mul(load(f + 6 * kBlock), s));
    Vec new_im = hn::MulAdd(load(f + 3 * kBlock), u, hn::Mul(load(f + 7 * kBlock), s));
    if constexpr (kRank == 2) {
      new_re = hn::MulAdd(load(f + 10 * kBlock), r, new_re);
      new_im = hn::MulAdd(load(f + 11 * kBlock), r, new_im);
    }
    new_re = hn::NegMulAdd(a_im, im, hn::MulAdd(a_re, re, new_re));
    new_im = hn::MulAdd(a_im, re, hn::MulAdd(a_re, im, new_im));
    hn::Store(new_re, ChannelTag(), x);
    hn::Store(new_im, ChannelTag(), x + kBlock);
    y_re = hn::MulAdd(load(f + 4 * kBlock), new_re, y_re);
    y_im = hn::NegMulAdd(load(f + 5 * kBlock), new_im, y_im);
    project(f + 8 * kBlock, new_re, new_im);
  }
};

/// All steps of one or two sequences, which share the loads of the factors.
template <int kRank, int kRows>
void scan_rows(const DplrScanFactors& factors, const float* f, ChannelGroup group, int64_t time,
               const Row& first, const Row& second) {
  constexpr int64_t kStride = DplrScanFactors::numbers(kRank) * kBlock;
  const Vec d = load_channels(factors.d().data() + group.first, 1, group);
  const int64_t modes = factors.modes();
  Sums<kRank> a, b;
  a.begin();
  b.begin();
  for (int64_t n = 0; n < modes; ++n) {
    const float* g = f + n * kStride + 8 * kBlock;
    a.project(g, load(first.state() + 2 * n * kBlock), load(first.state() + (2 * n + 1) * kBlock));
    if constexpr (kRows == 2) {
      b.project(g, load(second.state() + 2 * n * kBlock),
                load(second.state() + (2 * n + 1) * kBlock));
    }
  }
  for (int64_t t = 0; t < time; ++t) {
    a.end();
    b.end();
    a.begin();
    b.begin();
    a.u = first.u(t);
    if constexpr (kRows == 2) b.u = second.u(t);
    for (int64_t n = 0; n < modes; ++n) {
      a.update(f + n * kStride, first.state() + 2 * n * kBlock);
      if constexpr (kRows == 2) b.update(f + n * kStride, second.state() + 2 * n * kBlock);
    }
    first.set_y(t, hn::MulAdd(d, a.u, hn::Add(a.y_re, a.y_im)));
    if constexpr (kRows == 2) second.set_y(t, hn::MulAdd(d, b.u, hn::Add(b.y_re, b.y_im)));
  }
}

template <int kRank>
void scan_group(const DplrScanArgs<float>& args, int64_t index, int64_t batch, float* memory) {
  const ChannelGroup group = channel_group(index, args.u.extent(2));
  const float* f = args.factors->of_channels(group.first / kBlock) + group.first % kBlock;
  const Row first(args, batch, group, memory);
  first.load_state();
  if (batch + 1 == args.u.extent(0)) {
    scan_rows<kRank, 1>(*args.factors, f, group, args.u.extent(1), first, first);
  } else {
    const Row second(args, batch + 1, group, memory + args.factors->modes() * 2 * kBlock);
    second.load_state();
    scan_rows<kRank, 2>(*args.factors, f, group, args.u.extent(1), first, second);
    second.store_state();
  }
  first.store_state();
}

void scan(const DplrScanArgs<float>& args, Workspace& workspace) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  const int64_t groups = (args.u.extent(2) + lanes - 1) / lanes;
  const int64_t pairs = (args.u.extent(0) + 1) / 2;
  const int64_t items = groups * pairs;
  const int64_t floats = 2 * args.factors->modes() * 2 * kBlock;
  const Workspace::Scope scope(workspace);
  const int64_t room = static_cast<int64_t>((workspace.capacity() - workspace.used()) /
                                            Workspace::bytes_for<float>(floats));
  const int64_t workers = std::clamp<int64_t>(std::min(items, room), 1, thread_count());
  float* memory = workspace.take<float>(workers * floats).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t w = begin; w < end; ++w) {
      for (int64_t i = items * w / workers; i < items * (w + 1) / workers; ++i) {
        if (args.factors->rank() == 1) {
          scan_group<1>(args, i / pairs, i % pairs * 2, memory + w * floats);
        } else {
          scan_group<2>(args, i / pairs, i % pairs * 2, memory + w * floats);
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

HWY_EXPORT(scan);

void dplr_scan_cpu(const DplrScanArgs<float>& args, Workspace& workspace) {
  if (args.u.size() == 0) return;
  HWY_DYNAMIC_DISPATCH(scan)(args, workspace);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
