// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/linear_scan/linear_scan_cpu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Steps that all columns go before any goes on, so that memory is read in order. Contributions to
// da are summed in float within them, and in double beyond.
constexpr int64_t kSteps = 32;

// Numbers in lanes: real ones are adjacent in memory.
template <class D>
struct Real {
  static constexpr int64_t kFloats = 1;
  static Real zero(D d) { return {hn::Zero(d)}; }
  static Real load(D d, const float* from) { return {hn::LoadU(d, from)}; }
  void store(D d, float* to) const { hn::StoreU(value, d, to); }

  hn::Vec<D> value;
};

template <class D>
Real<D> add(Real<D> x, Real<D> y) {
  return {hn::Add(x.value, y.value)};
}
// x y + z
template <class D>
Real<D> multiply_add(Real<D> x, Real<D> y, Real<D> z) {
  return {hn::MulAdd(x.value, y.value, z.value)};
}
// conj(x) y + z
template <class D>
Real<D> conjugate_multiply_add(Real<D> x, Real<D> y, Real<D> z) {
  return {hn::MulAdd(x.value, y.value, z.value)};
}
template <class D>
Real<D> conjugate_multiply(Real<D> x, Real<D> y) {
  return {hn::Mul(x.value, y.value)};
}

// Complex ones are pairs (re, im) in memory and two vectors here.
template <class D>
struct Complex {
  static constexpr int64_t kFloats = 2;
  static Complex zero(D d) { return {hn::Zero(d), hn::Zero(d)}; }
  static Complex load(D d, const float* from) {
    Complex result;
    hn::LoadInterleaved2(d, from, result.re, result.im);
    return result;
  }
  void store(D d, float* to) const { hn::StoreInterleaved2(re, im, d, to); }

  hn::Vec<D> re, im;
};

template <class D>
Complex<D> add(Complex<D> x, Complex<D> y) {
  return {hn::Add(x.re, y.re), hn::Add(x.im, y.im)};
}
template <class D>
Complex<D> multiply_add(Complex<D> x, Complex<D> y, Complex<D> z) {
  return {hn::NegMulAdd(x.im, y.im, hn::MulAdd(x.re, y.re, z.re)),
          hn::MulAdd(x.im, y.re, hn::MulAdd(x.re, y.im, z.im))};
}
template <class D>
Complex<D> conjugate_multiply_add(Complex<D> x, Complex<D> y, Complex<D> z) {
  return {hn::MulAdd(x.im, y.im, hn::MulAdd(x.re, y.re, z.re)),
          hn::NegMulAdd(x.im, y.re, hn::MulAdd(x.re, y.im, z.im))};
}
template <class D>
Complex<D> conjugate_multiply(Complex<D> x, Complex<D> y) {
  return {hn::MulAdd(x.im, y.im, hn::Mul(x.re, y.re)),
          hn::NegMulAdd(x.im, y.re, hn::Mul(x.re, y.im))};
}

// Runs kVectors vectors of numbers from column `first` on, with the states in registers.
template <class Number, int kVectors, class D>
void forward(D d, const ScanColumns& columns, int64_t first) {
  const int64_t stride = static_cast<int64_t>(hn::Lanes(d)) * Number::kFloats;
  const int64_t begin = first * Number::kFloats;
  Number h[kVectors];
  for (int k = 0; k < kVectors; ++k) {
    h[k] = columns.h0 ? Number::load(d, columns.h0 + begin + k * stride) : Number::zero(d);
  }
  const float* a = columns.a + begin;
  const float* b = columns.b + begin;
  float* out = columns.h + begin;
  for (int64_t t = 0; t < columns.time; ++t) {
    for (int k = 0; k < kVectors; ++k) {
      h[k] = multiply_add(Number::load(d, a + k * stride), h[k], Number::load(d, b + k * stride));
      h[k].store(d, out + k * stride);
    }
    a += columns.a_step;
    b += columns.b_step;
    out += columns.h_step;
  }
  for (int k = 0; k < kVectors; ++k) h[k].store(d, columns.final + begin + k * stride);
}

// Adds numbers to as many pairs or singles of doubles.
template <class Number, class D>
void add_to(D d, const Number& value, double* to) {
  constexpr size_t kMost = hn::MaxLanes(D()) * Number::kFloats;
  HWY_ALIGN float floats[kMost];
  value.store(d, floats);
  for (size_t i = 0; i < hn::Lanes(d) * Number::kFloats; ++i) {
    to[i] += static_cast<double>(floats[i]);
  }
}

template <class Number, FactorGradient kFactor, int kVectors, class D>
void backward(D d, const ScanGradColumns& columns, int64_t first) {
  const int64_t stride = static_cast<int64_t>(hn::Lanes(d)) * Number::kFloats;
  const int64_t begin = first * Number::kFloats;
  Number g[kVectors], sum[kVectors];
  for (int k = 0; k < kVectors; ++k) {
    g[k] = columns.dfinal ? Number::load(d, columns.dfinal + begin + k * stride) : Number::zero(d);
    sum[k] = Number::zero(d);
  }
  for (int64_t t = columns.time - 1; t >= 0; --t) {
    const float* a = columns.a + t * columns.a_step + begin;
    const float* dh = columns.dh + t * columns.dh_step + begin;
    float* db = columns.db + t * columns.db_step + begin;
    const float* former = columns.h0 ? columns.h0 + begin : nullptr;
    if (t > 0) former = columns.h + (t - 1) * columns.h_step + begin;
    for (int k = 0; k < kVectors; ++k) {
      g[k] = add(g[k], Number::load(d, dh + k * stride));
      g[k].store(d, db + k * stride);
      if constexpr (kFactor != FactorGradient::kNone) {
        const Number h = former ? Number::load(d, former + k * stride) : Number::zero(d);
        if constexpr (kFactor == FactorGradient::kSum) {
          sum[k] = conjugate_multiply_add(h, g[k], sum[k]);
        } else {
          float* da = columns.da + t * columns.da_step + begin + k * stride;
          Number value = conjugate_multiply(h, g[k]);
          if constexpr (kFactor == FactorGradient::kAdd) value = add(value, Number::load(d, da));
          value.store(d, da);
        }
      }
      g[k] = conjugate_multiply(Number::load(d, a + k * stride), g[k]);
    }
  }
  for (int k = 0; k < kVectors; ++k) {
    g[k].store(d, columns.dh0 + begin + k * stride);
    if constexpr (kFactor == FactorGradient::kSum) {
      add_to(d, sum[k], columns.da_sum + begin + k * stride);
    }
  }
}

// Covers columns [first, width) by vectors of at most kLanes lanes, `run(tag, count, first)`, as
// many at once as asked for, then by ever narrower ones, so that nothing beyond is touched.
template <size_t kLanes, int kVectors, typename Run>
void cover(int64_t first, int64_t width, const Run& run) {
  const hn::CappedTag<float, kLanes> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; first + kVectors * lanes <= width; first += kVectors * lanes) {
    run(d, std::integral_constant<int, kVectors>(), first);
  }
  for (; first + lanes <= width; first += lanes) {
    run(d, std::integral_constant<int, 1>(), first);
  }
  if constexpr (kLanes > 1) {
    if (first < width) cover<kLanes / 2, 1>(first, width, run);
  }
}

void scan_block(const ScanColumns& columns) {
  if (columns.field == Field::kReal) {
    cover<16, 8>(0, columns.width, [&](auto d, auto count, int64_t first) {
      forward<Real<decltype(d)>, count()>(d, columns, first);
    });
  } else {
    cover<16, 4>(0, columns.width, [&](auto d, auto count, int64_t first) {
      forward<Complex<decltype(d)>, count()>(d, columns, first);
    });
  }
}

void scan(const ScanColumns& columns) {
  int64_t begin = 0;
  do {
    ScanColumns block = columns;
    block.time = HWY_MIN(kSteps, columns.time - begin);
    block.a += begin * columns.a_step;
    block.b += begin * columns.b_step;
    block.h += begin * columns.h_step;
    if (begin > 0) block.h0 = block.h - columns.h_step;
    scan_block(block);
    begin += kSteps;
  } while (begin < columns.time);
}

template <FactorGradient kFactor>
void scan_grad_with(const ScanGradColumns& columns) {
  if (columns.field == Field::kReal) {
    cover<16, 4>(0, columns.width, [&](auto d, auto count, int64_t first) {
      backward<Real<decltype(d)>, kFactor, count()>(d, columns, first);
    });
  } else {
    cover<16, 2>(0, columns.width, [&](auto d, auto count, int64_t first) {
      backward<Complex<decltype(d)>, kFactor, count()>(d, columns, first);
    });
  }
}

void scan_grad_block(const ScanGradColumns& columns) {
  switch (columns.factor) {
    case FactorGradient::kNone:
      return scan_grad_with<FactorGradient::kNone>(columns);
    case FactorGradient::kStore:
      return scan_grad_with<FactorGradient::kStore>(columns);
    case FactorGradient::kAdd:
      return scan_grad_with<FactorGradient::kAdd>(columns);
    case FactorGradient::kSum:
      return scan_grad_with<FactorGradient::kSum>(columns);
  }
}

void scan_grad(const ScanGradColumns& columns) {
  const int64_t blocks = HWY_MAX((columns.time + kSteps - 1) / kSteps, int64_t{1});
  for (int64_t i = blocks - 1; i >= 0; --i) {
    const int64_t begin = i * kSteps;
    ScanGradColumns block = columns;
    block.time = HWY_MIN(kSteps, columns.time - begin);
    block.a += begin * columns.a_step;
    block.h += begin * columns.h_step;
    block.dh += begin * columns.dh_step;
    block.db += begin * columns.db_step;
    if (block.da != nullptr) block.da += begin * columns.da_step;
    if (begin > 0) block.h0 = block.h - columns.h_step;
    // What reaches the state before a block waits in dh0.
    if (i < blocks - 1) block.dfinal = columns.dh0;
    scan_grad_block(block);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(scan);
HWY_EXPORT(scan_grad);

void scan_columns(const ScanColumns& columns) { HWY_DYNAMIC_DISPATCH(scan)(columns); }
void scan_grad_columns(const ScanGradColumns& columns) { HWY_DYNAMIC_DISPATCH(scan_grad)(columns); }

}  // namespace longwave::ops
#endif
