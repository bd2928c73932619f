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

/// e^x for a vector of float32 within kExpRelativeError.
///
///   x = n ln 2 + r, |r| <= ln 2 / 2:   e^x = 2^n (1 + r + r^2 q(r)),   q of degree 4
///
/// q interpolates (e^r - 1 - r) / r^2 at the Chebyshev points of the interval. Overflow gives
/// infinity, underflow a denormal number or zero, NaN gives NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_vector(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 89.0f));
  const auto n = hn::NearestInt(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  const V whole = hn::ConvertTo(d, n);
  // ln 2 in two parts: the product of the first with n is exact.
  V r = hn::NegMulAdd(whole, hn::Set(d, 0.693145751953125f), clamped);
  r = hn::NegMulAdd(whole, hn::Set(d, 1.428606765330187e-06f), r);
  V q = hn::Set(d, 0.0013926184f);
  q = hn::MulAdd(q, r, hn::Set(d, 0.00836317893f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0416665561f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.166665763f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.5f));
  const V p = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), hn::Set(d, 1.0f));
  // 2^n in two factors, since n may lie outside the range of one exponent.
  const auto half = hn::ShiftRight<1>(n);
  const auto rest = hn::Sub(n, half);
  const auto bias = hn::Set(di, 127);
  const V scale_half = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V scale_rest = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(rest, bias)));
  const V result = hn::Mul(hn::Mul(p, scale_half), scale_rest);
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

/// 1 / (1 + e^-x) for a vector of float32.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_vector(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_vector(d, hn::Neg(x))));
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
