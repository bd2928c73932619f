// SPDX-License-Identifier: Apache-2.0
//
// The butterflies of fft.h for one SIMD target, to be included by `_cpu.cc` files after
// hwy/foreach_target.h. A lane is a sequence, so that no pass moves numbers between lanes.

#if defined(LONGWAVE_OPS_LONG_CONV_FFT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_LONG_CONV_FFT_INL_H_
#undef LONGWAVE_OPS_LONG_CONV_FFT_INL_H_
#else
#define LONGWAVE_OPS_LONG_CONV_FFT_INL_H_
#endif

#include <hwy/highway.h>

#include "longwave/ops/long_conv/fft.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FftTag = hn::CappedTag<float, kFftMaxLanes>;
using FftVec = hn::Vec<FftTag>;

/// One point of each lane's sequence.
struct FftPoint {
  FftVec re, im;
};

HWY_INLINE FftPoint operator+(FftPoint a, FftPoint b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE FftPoint operator-(FftPoint a, FftPoint b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
HWY_INLINE FftPoint operator*(FftPoint a, FftPoint b) {
  return {hn::NegMulAdd(a.im, b.im, hn::Mul(a.re, b.re)),
          hn::MulAdd(a.im, b.re, hn::Mul(a.re, b.im))};
}
/// a conj(b)
HWY_INLINE FftPoint times_conj(FftPoint a, FftPoint b) {
  return {hn::MulAdd(a.im, b.im, hn::Mul(a.re, b.re)),
          hn::NegMulAdd(a.re, b.im, hn::Mul(a.im, b.re))};
}
/// sum + a conj(b)
HWY_INLINE FftPoint add_times_conj(FftPoint sum, FftPoint a, FftPoint b) {
  return {hn::MulAdd(a.im, b.im, hn::MulAdd(a.re, b.re, sum.re)),
          hn::NegMulAdd(a.re, b.im, hn::MulAdd(a.im, b.re, sum.im))};
}
/// i a
HWY_INLINE FftPoint times_i(FftPoint a) { return {hn::Neg(a.im), a.re}; }

HWY_INLINE FftPoint load_point(const float* rows, int64_t row) {
  const FftTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  return {hn::Load(d, rows + row * 2 * lanes), hn::Load(d, rows + row * 2 * lanes + lanes)};
}
HWY_INLINE void store_point(FftPoint point, float* rows, int64_t row) {
  const FftTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Store(point.re, d, rows + row * 2 * lanes);
  hn::Store(point.im, d, rows + row * 2 * lanes + lanes);
}
HWY_INLINE FftPoint broadcast_point(const float* pair) {
  const FftTag d;
  return {hn::Set(d, pair[0]), hn::Set(d, pair[1])};
}

/// Rows in memory as the source and the target of a pass; the top pass of a caller may have others.
struct FftRows {
  float* rows;
  HWY_INLINE FftPoint load(int64_t row) const { return load_point(rows, row); }
  HWY_INLINE void store(FftPoint point, int64_t row) const { store_point(point, rows, row); }
};

/// (a, b) -> (a + root b, a - root b), six fused operations.
HWY_INLINE void split(FftPoint& a, FftPoint& b, FftPoint root) {
  const FftTag d;
  const FftVec two = hn::Set(d, 2.0f);
  const FftPoint sum = {hn::NegMulAdd(root.im, b.im, hn::MulAdd(root.re, b.re, a.re)),
                        hn::MulAdd(root.im, b.re, hn::MulAdd(root.re, b.im, a.im))};
  b = {hn::MulSub(two, a.re, sum.re), hn::MulSub(two, a.im, sum.im)};
  a = sum;
}

template <typename Source>
HWY_INLINE void forward_radix2(const float* roots, int64_t part, const Source& source,
                               float* rows) {
  const FftPoint root = broadcast_point(roots);
  for (int64_t j = 0; j < part; ++j) {
    FftPoint a = source.load(j), b = source.load(j + part);
    split(a, b, root);
    store_point(a, rows, j);
    store_point(b, rows, j + part);
  }
}

template <typename Target>
HWY_INLINE void inverse_radix2(const float* roots, int64_t part, const float* rows,
                               const Target& target) {
  const FftPoint root = broadcast_point(roots);
  for (int64_t j = 0; j < part; ++j) {
    const FftPoint a = load_point(rows, j), b = load_point(rows, j + part);
    target.store(a + b, j);
    target.store(times_conj(a - b, root), j + part);
  }
}

/// Children in the order of the roots r, i r, -r, -i r, where r^4 is the constant of the block.
template <typename Source>
HWY_INLINE void forward_radix4(const float* roots, int64_t part, const Source& source,
                               float* rows) {
  const FftPoint square = broadcast_point(roots), root = broadcast_point(roots + 2);
  const FftPoint turned = times_i(root);
  for (int64_t j = 0; j < part; ++j) {
    FftPoint a0 = source.load(j), a1 = source.load(j + part);
    FftPoint a2 = source.load(j + 2 * part), a3 = source.load(j + 3 * part);
    split(a0, a2, square);
    split(a1, a3, square);
    split(a0, a1, root);
    split(a2, a3, turned);
    store_point(a0, rows, j);
    store_point(a2, rows, j + part);
    store_point(a1, rows, j + 2 * part);
    store_point(a3, rows, j + 3 * part);
  }
}

template <typename Target>
HWY_INLINE void inverse_radix4(const float* roots, int64_t part, const float* rows,
                               const Target& target) {
  const FftPoint square = broadcast_point(roots), root = broadcast_point(roots + 2);
  const FftPoint cube = square * root;
  for (int64_t j = 0; j < part; ++j) {
    const FftPoint a0 = load_point(rows, j), a2 = load_point(rows, j + part);
    const FftPoint a1 = load_point(rows, j + 2 * part), a3 = load_point(rows, j + 3 * part);
    const FftPoint s0 = a0 + a1, s1 = a2 + a3;
    const FftPoint d0 = a0 - a1, d1 = times_i(a3 - a2);
    target.store(s0 + s1, j);
    target.store(times_conj(d0 + d1, root), j + part);
    target.store(times_conj(s0 - s1, square), j + 2 * part);
    target.store(times_conj(d0 - d1, cube), j + 3 * part);
  }
}

/// Any radix r by r^2 products: for sizes that are not made of twos.
template <typename Source>
HWY_INLINE void forward_any(const FftPlan::Pass& pass, const float* roots, const float* unity,
                            const Source& source, float* rows, float* scratch) {
  const int64_t part = pass.size / pass.radix;
  for (int64_t j = 0; j < part; ++j) {
    store_point(source.load(j), scratch, 0);
    for (int64_t q = 1; q < pass.radix; ++q) {
      const FftPoint root = broadcast_point(roots + 2 * (q - 1));
      store_point(source.load(j + q * part) * root, scratch, q);
    }
    for (int64_t k = 0; k < pass.radix; ++k) {
      FftPoint sum = load_point(scratch, 0);
      for (int64_t q = 1, power = k; q < pass.radix; ++q) {
        sum = sum + load_point(scratch, q) * broadcast_point(unity + 2 * power);
        power = power + k < pass.radix ? power + k : power + k - pass.radix;
      }
      store_point(sum, rows, j + k * part);
    }
  }
}

template <typename Target>
HWY_INLINE void inverse_any(const FftPlan::Pass& pass, const float* roots, const float* unity,
                            const float* rows, const Target& target, float* scratch) {
  const int64_t part = pass.size / pass.radix;
  for (int64_t j = 0; j < part; ++j) {
    for (int64_t k = 0; k < pass.radix; ++k) {
      store_point(load_point(rows, j + k * part), scratch, k);
    }
    for (int64_t q = 0; q < pass.radix; ++q) {
      FftPoint sum = load_point(scratch, 0);
      for (int64_t k = 1, power = q; k < pass.radix; ++k) {
        sum = add_times_conj(sum, load_point(scratch, k), broadcast_point(unity + 2 * power));
        power = power + q < pass.radix ? power + q : power + q - pass.radix;
      }
      if (q > 0) sum = times_conj(sum, broadcast_point(roots + 2 * (q - 1)));
      target.store(sum, j + q * part);
    }
  }
}

/// Transforms `plan.size()` points from `source` to a spectrum in rows and back to a target, with
/// whatever has to happen to the spectrum in between.
class FftWalk {
 public:
  FftWalk(const FftPlan& plan, float* rows, float* scratch)
      : plan_(plan), rows_(rows), scratch_(scratch) {}

  template <typename Source>
  void forward(const Source& source) const {
    if (plan_.passes().empty()) {
      store_point(source.load(0), rows_, 0);
      return;
    }
    forward_pass(0, 0, source, rows_);
    each_child(0, 0, rows_, [&](int64_t child, float* rows) { forward_below(1, child, rows); });
  }

  template <typename Target>
  void inverse(const Target& target) const {
    if (plan_.passes().empty()) {
      target.store(load_point(rows_, 0), 0);
      return;
    }
    each_child(0, 0, rows_, [&](int64_t child, float* rows) { inverse_below(1, child, rows); });
    inverse_pass(0, 0, rows_, target);
  }

  /// forward, `change(first_row, row_count)` on each part of the spectrum while it is in the cache,
  /// inverse.
  template <typename Source, typename Change, typename Target>
  void round_trip(const Source& source, const Change& change, const Target& target) const {
    if (plan_.passes().empty()) {
      store_point(source.load(0), rows_, 0);
      change(0, 1);
      target.store(load_point(rows_, 0), 0);
      return;
    }
    forward_pass(0, 0, source, rows_);
    each_child(0, 0, rows_,
               [&](int64_t child, float* rows) { round_trip_below(1, child, rows, change); });
    inverse_pass(0, 0, rows_, target);
  }

 private:
  /// Points that stay in the first cache while several passes go over them.
  static constexpr int64_t kResident = 256;

  int64_t pass_count() const { return static_cast<int64_t>(plan_.passes().size()); }
  int64_t block_size(int64_t level) const {
    return level < pass_count() ? plan_.passes()[level].size : 1;
  }

  template <typename Source>
  HWY_INLINE void forward_pass(int64_t level, int64_t block, const Source& source,
                               float* rows) const {
    const FftPlan::Pass& pass = plan_.passes()[level];
    const float* roots = plan_.roots().data() + pass.first_root + block * pass.block_roots;
    if (pass.radix == 4) {
      forward_radix4(roots, pass.size / 4, source, rows);
    } else if (pass.radix == 2) {
      forward_radix2(roots, pass.size / 2, source, rows);
    } else {
      forward_any(pass, roots, plan_.roots().data() + pass.unity, source, rows, scratch_);
    }
  }

  template <typename Target>
  HWY_INLINE void inverse_pass(int64_t level, int64_t block, const float* rows,
                               const Target& target) const {
    const FftPlan::Pass& pass = plan_.passes()[level];
    const float* roots = plan_.roots().data() + pass.first_root + block * pass.block_roots;
    if (pass.radix == 4) {
      inverse_radix4(roots, pass.size / 4, rows, target);
    } else if (pass.radix == 2) {
      inverse_radix2(roots, pass.size / 2, rows, target);
    } else {
      inverse_any(pass, roots, plan_.roots().data() + pass.unity, rows, target, scratch_);
    }
  }

  template <typename Body>
  HWY_INLINE void each_child(int64_t level, int64_t block, float* rows, const Body& body) const {
    const FftPlan::Pass& pass = plan_.passes()[level];
    const int64_t stride = pass.size / pass.radix * 2 * static_cast<int64_t>(hn::Lanes(FftTag()));
    for (int64_t k = 0; k < pass.radix; ++k) body(block * pass.radix + k, rows + k * stride);
  }

  void forward_below(int64_t level, int64_t block, float* rows) const {
    if (level == pass_count()) return;
    forward_pass(level, block, FftRows{rows}, rows);
    if (block_size(level + 1) == 1) return;
    each_child(level, block, rows,
               [&](int64_t child, float* below) { forward_below(level + 1, child, below); });
  }

  void inverse_below(int64_t level, int64_t block, float* rows) const {
    if (level == pass_count()) return;
    if (block_size(level + 1) > 1) {
      each_child(level, block, rows,
                 [&](int64_t child, float* below) { inverse_below(level + 1, child, below); });
    }
    inverse_pass(level, block, rows, FftRows{rows});
  }

  template <typename Change>
  void round_trip_below(int64_t level, int64_t block, float* rows, const Change& change) const {
    const int64_t size = block_size(level);
    if (size <= kResident) {
      forward_below(level, block, rows);
      change(block * size, size);
      inverse_below(level, block, rows);
      return;
    }
    forward_pass(level, block, FftRows{rows}, rows);
    each_child(level, block, rows, [&](int64_t child, float* below) {
      round_trip_below(level + 1, child, below, change);
    });
    inverse_pass(level, block, rows, FftRows{rows});
  }

  const FftPlan& plan_;
  float* rows_;
  float* scratch_;
};

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
