// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/dplr_kernel/dplr_cauchy.h"
#include "longwave/ops/dplr_kernel/dplr_cauchy_layout.h"
#include "longwave/ops/dplr_kernel/dplr_mode.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/dplr_kernel/dplr_cauchy_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kTile = DplrKernelPlan::kTile;

using Tag = hn::CappedTag<float, kCauchyLanes>;
using Vec = hn::Vec<Tag>;

struct Complex {
  Vec re, im;
};

HWY_INLINE Complex load(const float* plane) {
  return {hn::Load(Tag(), plane), hn::Load(Tag(), plane + kTile)};
}
HWY_INLINE void store(Complex x, float* plane) {
  hn::Store(x.re, Tag(), plane);
  hn::Store(x.im, Tag(), plane + kTile);
}
HWY_INLINE Complex operator+(Complex a, Complex b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE Complex operator-(Complex a, Complex b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
HWY_INLINE Complex operator*(Complex a, Complex b) {
  return {hn::NegMulAdd(a.im, b.im, hn::Mul(a.re, b.re)),
          hn::MulAdd(a.im, b.re, hn::Mul(a.re, b.im))};
}
HWY_INLINE Complex operator*(Vec a, Complex b) { return {hn::Mul(a, b.re), hn::Mul(a, b.im)}; }
HWY_INLINE Complex conj(Complex a) { return {a.re, hn::Neg(a.im)}; }
HWY_INLINE Complex negated(Complex a) { return {hn::Neg(a.re), hn::Neg(a.im)}; }
HWY_INLINE Complex inverse(Complex a) {
  const Vec one = hn::Set(Tag(), 1.0f);
  const Vec scale = hn::Div(one, hn::MulAdd(a.re, a.re, hn::Mul(a.im, a.im)));
  return {hn::Mul(a.re, scale), hn::Mul(hn::Neg(a.im), scale)};
}

/// Reciprocals of the denominators of all modes at a tile of nodes.
void fill_reciprocals(const DplrKernelPlan& plan, int64_t tile, const CauchyLayout& at,
                      float* scratch) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t x = 0; x < kTile; x += lanes) {
    const Vec c2 = hn::LoadU(d, plan.cosine_squared().data() + tile + x);
    const Vec s2 = hn::LoadU(d, plan.sine_squared_4().data() + tile + x);
    const Vec sc = hn::LoadU(d, plan.sine_cosine_4().data() + tile + x);
    float* out = scratch + at.reciprocals + x;
    for (int64_t n = 0; n < at.modes; ++n) {
      const Vec square = hn::Set(d, scratch[at.square + n]);
      const Vec real = hn::Set(d, scratch[at.real + n]);
      store(inverse({hn::MulSub(c2, square, s2), hn::Neg(hn::Mul(sc, real))}),
            out + n * kCauchyPlane);
    }
  }
}

/// out (rows, plane) = A (rows, inner) in (inner, plane), two rows at a time.
///
/// A(i, k) = a[i * a_row + k * a_inner]: the same product serves both directions.
void multiply(const float* a, int64_t a_row, int64_t a_inner, int64_t rows, int64_t inner,
              const float* in, float* out) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < rows; i += kCauchyRowBlock) {
    const float *a0 = a + i * a_row, *a1 = a0 + a_row;
    for (int64_t x = 0; x < kCauchyPlane; x += 4 * lanes) {
      Vec s00 = hn::Zero(d), s01 = s00, s02 = s00, s03 = s00;
      Vec s10 = s00, s11 = s00, s12 = s00, s13 = s00;
      for (int64_t k = 0; k < inner; ++k) {
        const float* row = in + k * kCauchyPlane + x;
        const Vec w0 = hn::Set(d, a0[k * a_inner]), w1 = hn::Set(d, a1[k * a_inner]);
        const Vec x0 = hn::Load(d, row), x1 = hn::Load(d, row + lanes);
        const Vec x2 = hn::Load(d, row + 2 * lanes), x3 = hn::Load(d, row + 3 * lanes);
        s00 = hn::MulAdd(w0, x0, s00);
        s01 = hn::MulAdd(w0, x1, s01);
        s02 = hn::MulAdd(w0, x2, s02);
        s03 = hn::MulAdd(w0, x3, s03);
        s10 = hn::MulAdd(w1, x0, s10);
        s11 = hn::MulAdd(w1, x1, s11);
        s12 = hn::MulAdd(w1, x2, s12);
        s13 = hn::MulAdd(w1, x3, s13);
      }
      float *o0 = out + i * kCauchyPlane + x, *o1 = o0 + kCauchyPlane;
      hn::Store(s00, d, o0);
      hn::Store(s01, d, o0 + lanes);
      hn::Store(s02, d, o0 + 2 * lanes);
      hn::Store(s03, d, o0 + 3 * lanes);
      hn::Store(s10, d, o1);
      hn::Store(s11, d, o1 + lanes);
      hn::Store(s12, d, o1 + 2 * lanes);
      hn::Store(s13, d, o1 + 3 * lanes);
    }
  }
}

/// dweights (rows, modes) += dsums (rows, plane) reciprocals (modes, plane)^T, lane by lane.
void add_products(const CauchyLayout& at, float* scratch) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < at.rows; i += kCauchyRowBlock) {
    const float *g0 = scratch + at.sums + i * kCauchyPlane, *g1 = g0 + kCauchyPlane;
    for (int64_t n = 0; n < at.modes; n += kCauchyModeBlock) {
      const float* in = scratch + at.reciprocals + n * kCauchyPlane;
      float* w0 = scratch + at.dweights + (i * at.modes + n) * kCauchyLanes;
      float* w1 = w0 + at.modes * kCauchyLanes;
      Vec s00 = hn::Load(d, w0), s01 = hn::Load(d, w0 + kCauchyLanes);
      Vec s02 = hn::Load(d, w0 + 2 * kCauchyLanes), s03 = hn::Load(d, w0 + 3 * kCauchyLanes);
      Vec s10 = hn::Load(d, w1), s11 = hn::Load(d, w1 + kCauchyLanes);
      Vec s12 = hn::Load(d, w1 + 2 * kCauchyLanes), s13 = hn::Load(d, w1 + 3 * kCauchyLanes);
      for (int64_t x = 0; x < kCauchyPlane; x += lanes) {
        const Vec y0 = hn::Load(d, g0 + x), y1 = hn::Load(d, g1 + x);
        const Vec x0 = hn::Load(d, in + x), x1 = hn::Load(d, in + kCauchyPlane + x);
        const Vec x2 = hn::Load(d, in + 2 * kCauchyPlane + x),
                  x3 = hn::Load(d, in + 3 * kCauchyPlane + x);
        s00 = hn::MulAdd(y0, x0, s00);
        s01 = hn::MulAdd(y0, x1, s01);
        s02 = hn::MulAdd(y0, x2, s02);
        s03 = hn::MulAdd(y0, x3, s03);
        s10 = hn::MulAdd(y1, x0, s10);
        s11 = hn::MulAdd(y1, x1, s11);
        s12 = hn::MulAdd(y1, x2, s12);
        s13 = hn::MulAdd(y1, x3, s13);
      }
      hn::Store(s00, d, w0);
      hn::Store(s01, d, w0 + kCauchyLanes);
      hn::Store(s02, d, w0 + 2 * kCauchyLanes);
      hn::Store(s03, d, w0 + 3 * kCauchyLanes);
      hn::Store(s10, d, w1);
      hn::Store(s11, d, w1 + kCauchyLanes);
      hn::Store(s12, d, w1 + 2 * kCauchyLanes);
      hn::Store(s13, d, w1 + 3 * kCauchyLanes);
    }
  }
}

/// The low-rank correction at the nodes of one vector.
///
/// All pivots of 1 + c q_PP have a positive real part, because P^* (z - Lambda)^-1 P has one for
/// imaginary z and Re Lambda < 0: elimination needs no row exchanges.
class LowRank {
 public:
  LowRank(const CauchyLayout& at, float* sums, const DplrKernelPlan& plan, int64_t tile, int64_t x)
      : at_(at),
        sums_(sums + x),
        c_(hn::LoadU(Tag(), plan.cosine().data() + tile + x)),
        s_(hn::LoadU(Tag(), plan.sine().data() + tile + x)) {}

  /// q_ij = 4 i s Q_ij - 2 c P_ij.
  HWY_INLINE Complex q(int64_t i, int64_t j) const {
    const Complex p = load(sums_ + at_.row(i, j) * kCauchyPlane);
    const Complex q = load(sums_ + (at_.row(i, j) + 1) * kCauchyPlane);
    const Vec two_c = hn::Add(c_, c_), four_s = hn::Mul(hn::Set(Tag(), 4.0f), s_);
    return {hn::Neg(hn::MulAdd(two_c, p.re, hn::Mul(four_s, q.im))),
            hn::MulSub(four_s, q.re, hn::Mul(two_c, p.im))};
  }

  Complex value() const {
    Complex sum = q(0, 0);
    Solution x;
    solve(Side::kRight, x);
    for (int64_t j = 0; j < at_.rank; ++j) sum = sum - c_ * (q(0, j + 1) * x.at(j));
    return turn() * sum;
  }

  /// Replaces the sums by their gradients.
  void grad(Complex dvalue) const {
    const Complex g = conj(turn()) * dvalue;
    const Complex minus_cg = negated(c_ * g);
    Solution x, y;
    solve(Side::kRight, x);
    solve(Side::kLeft, y);
    for (int64_t i = 0; i < at_.rank; ++i) {
      for (int64_t j = 0; j < at_.rank; ++j) {
        set_grad(i + 1, j + 1, hn::Mul(c_, c_) * (g * conj(y.at(i) * x.at(j))));
      }
    }
    for (int64_t i = 0; i < at_.rank; ++i) {
      set_grad(0, i + 1, minus_cg * conj(x.at(i)));
      set_grad(i + 1, 0, minus_cg * conj(y.at(i)));
    }
    set_grad(0, 0, g);
  }

 private:
  enum class Side { kLeft, kRight };

  /// A short complex vector for each lane.
  struct Solution {
    HWY_INLINE Complex at(int64_t i) const {
      const Tag d;
      return {hn::Load(d, numbers + 2 * i * kCauchyLanes),
              hn::Load(d, numbers + (2 * i + 1) * kCauchyLanes)};
    }
    HWY_INLINE void set(int64_t i, Complex value) {
      hn::Store(value.re, Tag(), numbers + 2 * i * kCauchyLanes);
      hn::Store(value.im, Tag(), numbers + (2 * i + 1) * kCauchyLanes);
    }
    alignas(64) float numbers[2 * kDplrMaxRank * kCauchyLanes];
  };

  HWY_INLINE Complex turn() const { return {c_, s_}; }

  HWY_INLINE Complex matrix(Side side, int64_t i, int64_t j) const {
    Complex x = c_ * (side == Side::kRight ? q(i + 1, j + 1) : q(j + 1, i + 1));
    if (i == j) x.re = hn::Add(x.re, hn::Set(Tag(), 1.0f));
    return x;
  }

  /// (1 + c q_PP) x = q_P0 from the right, x (1 + c q_PP) = q_0P from the left.
  void solve(Side side, Solution& x) const {
    const int64_t rank = at_.rank;
    Solution rows[kDplrMaxRank];
    for (int64_t i = 0; i < rank; ++i) {
      for (int64_t j = 0; j < rank; ++j) rows[i].set(j, matrix(side, i, j));
      x.set(i, side == Side::kRight ? q(i + 1, 0) : q(0, i + 1));
    }
    for (int64_t k = 0; k < rank; ++k) {
      const Complex pivot = inverse(rows[k].at(k));
      x.set(k, pivot * x.at(k));
      for (int64_t j = k + 1; j < rank; ++j) rows[k].set(j, pivot * rows[k].at(j));
      for (int64_t i = k + 1; i < rank; ++i) {
        const Complex factor = rows[i].at(k);
        for (int64_t j = k + 1; j < rank; ++j) {
          rows[i].set(j, rows[i].at(j) - factor * rows[k].at(j));
        }
        x.set(i, x.at(i) - factor * x.at(k));
      }
    }
    for (int64_t k = rank - 1; k >= 0; --k) {
      for (int64_t j = k + 1; j < rank; ++j) x.set(k, x.at(k) - rows[k].at(j) * x.at(j));
    }
  }

  /// P's gradient is -2 c dq, Q's is -4 i s dq.
  HWY_INLINE void set_grad(int64_t i, int64_t j, Complex dq) const {
    const Vec two_c = hn::Add(c_, c_), four_s = hn::Mul(hn::Set(Tag(), 4.0f), s_);
    store(negated(two_c * dq), sums_ + at_.row(i, j) * kCauchyPlane);
    store({hn::Mul(four_s, dq.im), hn::Neg(hn::Mul(four_s, dq.re))},
          sums_ + (at_.row(i, j) + 1) * kCauchyPlane);
  }

  const CauchyLayout& at_;
  float* sums_;
  Vec c_, s_;
};

/// P and Q at a tile of nodes.
void fill_sums(const DplrKernelPlan& plan, int64_t tile, const CauchyLayout& at, float* scratch) {
  fill_reciprocals(plan, tile, at, scratch);
  multiply(scratch + at.weights, at.modes, 1, at.rows, at.modes, scratch + at.reciprocals,
           scratch + at.sums);
}

void spectra_of_channels(const DplrKernelArgs<float>& args, int64_t begin, int64_t end,
                         const View<float, 3>& spectra, float* scratch) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const CauchyLayout at(args.Lambda.extent(1), args.P.absent() ? 0 : args.P.extent(0));
  for (int64_t channel = begin; channel < end; ++channel) {
    fold_modes(args, channel, at, scratch);
    for (int64_t tile = 0; tile < args.plan->padded_nodes(); tile += kTile) {
      fill_sums(*args.plan, tile, at, scratch);
      for (int64_t x = 0; x < kTile; x += lanes) {
        const Complex value = LowRank(at, scratch + at.sums, *args.plan, tile, x).value();
        hn::StoreU(value.re, d, &spectra(channel, 0, tile + x));
        hn::StoreU(value.im, d, &spectra(channel, 1, tile + x));
      }
    }
  }
}

/// From the gradients of the reciprocals G = 1 / D to those of |lambda|^2 and Re lambda in D.
void add_denominators(const DplrKernelPlan& plan, int64_t tile, const CauchyLayout& at,
                      float* scratch) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t n = 0; n < at.modes; ++n) {
    float *dsquare = scratch + at.dsquare + n * kCauchyLanes,
          *dreal = scratch + at.dreal + n * kCauchyLanes;
    Vec of_square = hn::Load(d, dsquare), of_real = hn::Load(d, dreal);
    for (int64_t x = 0; x < kTile; x += lanes) {
      const Complex g = load(scratch + at.reciprocals + n * kCauchyPlane + x);
      const Complex dg = load(scratch + at.dreciprocals + n * kCauchyPlane + x);
      const Complex minus_dd = conj(g * g) * dg;
      of_square = hn::NegMulAdd(hn::LoadU(d, plan.cosine_squared().data() + tile + x), minus_dd.re,
                                of_square);
      of_real =
          hn::MulAdd(hn::LoadU(d, plan.sine_cosine_4().data() + tile + x), minus_dd.im, of_real);
    }
    hn::Store(of_square, d, dsquare);
    hn::Store(of_real, d, dreal);
  }
}

/// Sum of the lanes of a partial sum.
double total_of(const float* partial) {
  double sum = 0;
  for (size_t lane = 0; lane < hn::Lanes(Tag()); ++lane) sum += static_cast<double>(partial[lane]);
  return sum;
}

/// From the gradients of the folded modes to those of the parameters.
void unfold_modes(const DplrKernelGradArgs<float>& args, int64_t channel, const CauchyLayout& at,
                  const float* scratch) {
  double of_dt = 0;
  for (int64_t n = 0; n < args.Lambda.extent(1); ++n) {
    const DplrMode<double> mode(args, channel, n);
    const std::complex<double> lambda = mode.lambda();
    DplrModeGrad<double> grad;
    grad.lambda = 2 * total_of(scratch + at.dsquare + n * kCauchyLanes) * lambda +
                  total_of(scratch + at.dreal + n * kCauchyLanes);
    for (int64_t i = 0; i <= at.rank; ++i) {
      for (int64_t j = 0; j <= at.rank; ++j) {
        const float* of_p = scratch + at.dweights + (at.row(i, j) * at.modes + n) * kCauchyLanes;
        const double of_scaled = total_of(of_p);
        grad.v[i][j] = of_scaled * lambda + total_of(of_p + at.modes * kCauchyLanes);
        grad.lambda += of_scaled * mode.v(i, j);
      }
    }
    of_dt += store_mode_grad(mode, grad, args, channel, n);
  }
  args.ddt(channel) = static_cast<float>(of_dt);
}

void grads_of_channels(const DplrKernelGradArgs<float>& args, int64_t begin, int64_t end,
                       const View<const float, 3>& dspectra, float* scratch) {
  const Tag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const CauchyLayout at(args.Lambda.extent(1), args.P.absent() ? 0 : args.P.extent(0));
  for (int64_t channel = begin; channel < end; ++channel) {
    fold_modes(args, channel, at, scratch);
    std::fill(scratch + at.dweights, scratch + at.total, 0.0f);
    for (int64_t tile = 0; tile < args.plan->padded_nodes(); tile += kTile) {
      fill_sums(*args.plan, tile, at, scratch);
      for (int64_t x = 0; x < kTile; x += lanes) {
        const Complex dvalue = {hn::LoadU(d, &dspectra(channel, 0, tile + x)),
                                hn::LoadU(d, &dspectra(channel, 1, tile + x))};
        LowRank(at, scratch + at.sums, *args.plan, tile, x).grad(dvalue);
      }
      add_products(at, scratch);
      multiply(scratch + at.weights, 1, at.modes, at.modes, at.rows, scratch + at.sums,
               scratch + at.dreciprocals);
      add_denominators(*args.plan, tile, at, scratch);
    }
    unfold_modes(args, channel, at, scratch);
  }
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(spectra_of_channels);
HWY_EXPORT(grads_of_channels);

int64_t dplr_cauchy_scratch_floats(int64_t modes, int64_t rank) {
  return CauchyLayout(modes, rank).total;
}

void dplr_cauchy(const DplrKernelArgs<float>& args, int64_t begin, int64_t end,
                 const View<float, 3>& spectra, float* scratch) {
  HWY_DYNAMIC_DISPATCH(spectra_of_channels)(args, begin, end, spectra, scratch);
}

void dplr_cauchy_grad(const DplrKernelGradArgs<float>& args, int64_t begin, int64_t end,
                      const View<const float, 3>& dspectra, float* scratch) {
  HWY_DYNAMIC_DISPATCH(grads_of_channels)(args, begin, end, dspectra, scratch);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
