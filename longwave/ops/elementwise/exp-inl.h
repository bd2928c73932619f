// SPDX-License-Identifier: Apache-2.0

// Included once per target by kernels, after hwy/foreach_target.h and hwy/highway.h.
#if defined(LONGWAVE_OPS_ELEMENTWISE_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_ELEMENTWISE_EXP_INL_H_
#undef LONGWAVE_OPS_ELEMENTWISE_EXP_INL_H_
#else
#define LONGWAVE_OPS_ELEMENTWISE_EXP_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// p 2^n for whole n, |n| <= 256, in two factors, since n may lie outside the range of one
/// exponent.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V scale_by_power(D d, V p, V n) {
  const hn::RebindToSigned<D> di;
  const auto whole = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(whole);
  const auto rest = hn::Sub(whole, half);
  const auto bias = hn::Set(di, 127);
  const V scale_half = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V scale_rest = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(rest, bias)));
  return hn::Mul(hn::Mul(p, scale_half), scale_rest);
}

/// 2^r for |r| <= 1/2: 1 + r q(r), q of degree 5 with the smallest relative error, 2.1e-8.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_fraction(D d, V r) {
  V q = hn::Set(d, 0.00015594657f);
  q = hn::MulAdd(q, r, hn::Set(d, 0.00134066364f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.00961769279f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0555031039f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.240226522f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.693147242f));
  return hn::MulAdd(q, r, hn::Set(d, 1.0f));
}

/// 2^x for a vector of float32 within kExpRelativeError, where the result is a normal number.
///
///   x = n + r, n whole, |r| <= 1/2:   2^x = 2^n 2^r
///
/// 2^0 is exactly 1, overflow gives infinity, NaN stays NaN. Results below 2^-126 become 2^-126 or
/// less.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_vector(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Not by Max and Min, which lose NaN on some processors.
  const V low = hn::Set(d, -126.0f), high = hn::Set(d, 128.0f);
  const V clamped = hn::IfThenElse(hn::Lt(x, low), low, hn::IfThenElse(hn::Gt(x, high), high, x));
  // 1.5 2^23: adding it leaves the nearest integer in the last bits.
  const V shift = hn::Set(d, 12582912.0f);
  const V shifted = hn::Add(clamped, shift);
  const V p = exp2_fraction(d, hn::Sub(clamped, hn::Sub(shifted, shift)));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

// AVX-512 has instructions for both, a fifth of a selective scan's time.
#if HWY_TARGET <= HWY_AVX3

HWY_INLINE hn::Vec512<float> scale_by_power(hn::Full512<float>, hn::Vec512<float> p,
                                            hn::Vec512<float> n) {
  return hn::Vec512<float>{_mm512_scalef_ps(p.raw, n.raw)};
}

HWY_INLINE hn::Vec512<float> exp2_vector(hn::Full512<float> d, hn::Vec512<float> x) {
  // What the nearest integer leaves, 0 of an infinity.
  const hn::Vec512<float> r{_mm512_reduce_ps(x.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  return scale_by_power(d, exp2_fraction(d, r), hn::Sub(x, r));
}

#endif

/// e^x for a vector of float32 within kExpRelativeError.
///
///   x = n ln 2 + r, |r| <= ln 2 / 2:   e^x = 2^n (1 + r + r^2 q(r)),   q of degree 4
///
/// q interpolates (e^r - 1 - r) / r^2 at the Chebyshev points of the interval. Overflow gives
/// infinity, underflow a denormal number or zero, NaN gives NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_vector(D d, V x) {
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 89.0f));
  const V whole = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  // ln 2 in two parts: the product of the first with n is exact.
  V r = hn::NegMulAdd(whole, hn::Set(d, 0.693145751953125f), clamped);
  r = hn::NegMulAdd(whole, hn::Set(d, 1.428606765330187e-06f), r);
  V q = hn::Set(d, 0.0013926184f);
  q = hn::MulAdd(q, r, hn::Set(d, 0.00836317893f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0416665561f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.166665763f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.5f));
  const V p = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), hn::Set(d, 1.0f));
  const V result = scale_by_power(d, p, whole);
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

/// 1 / (1 + e^-x) for a vector of float32.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_vector(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_vector(d, hn::Neg(x))));
}

/// log(1 + e^x) for a vector of float32, without overflow and without loss for small values.
///
///   max(x, 0) + log1p(w),   w = e^-|x|,   log1p(w) = 2 artanh(s),   s = w / (2 + w) <= 1/3
///
/// artanh(s) / s - 1 is a polynomial of degree 4 in s^2 with relative error 4.5e-9.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softplus_vector(D d, V x) {
  const V w = exp_vector(d, hn::Neg(hn::Abs(x)));
  const V s = hn::Div(w, hn::Add(w, hn::Set(d, 2.0f)));
  const V square = hn::Mul(s, s);
  V q = hn::Set(d, 0.280118167f);
  q = hn::MulAdd(q, square, hn::Set(d, 0.280018359f));
  q = hn::MulAdd(q, square, hn::Set(d, 0.400215268f));
  q = hn::MulAdd(q, square, hn::Set(d, 0.666664183f));
  q = hn::MulAdd(q, square, hn::Set(d, 2.0f));
  return hn::MulAdd(q, s, hn::Max(hn::Zero(d), x));
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
