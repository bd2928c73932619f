// SPDX-License-Identifier: Apache-2.0

// Included once per target by kernels, after hwy/foreach_target.h and hwy/highway.h.
#if defined(LONGWAVE_OPS_ELEMENTWISE_SOFTPLUS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_ELEMENTWISE_SOFTPLUS_INL_H_
#undef LONGWAVE_OPS_ELEMENTWISE_SOFTPLUS_INL_H_
#else
#define LONGWAVE_OPS_ELEMENTWISE_SOFTPLUS_INL_H_
#endif

#include <hwy/highway.h>

#include "longwave/ops/elementwise/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

/// log(1 + e^x) for a vector of float32, within 5e-7 of itself however small it is.
///
///   max(x, 0) + log1p(z), z = e^-|x|:   log1p(z) = 2 atanh(s) = 2 (s + s^3 q(s^2)), s = z / (2 +
///   z)
///
/// q interpolates (atanh(s) - s) / s^3 at the Chebyshev points of [0, 1/9]; it errs by 1.7e-8.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softplus_vector(D d, V x) {
  const V z = exp_vector(d, hn::Neg(hn::Abs(x)));
  const V s = hn::Div(z, hn::Add(z, hn::Set(d, 2.0f)));
  const V square = hn::Mul(s, s);
  V q = hn::Set(d, 0.134257495f);
  q = hn::MulAdd(q, square, hn::Set(d, 0.141183093f));
  q = hn::MulAdd(q, square, hn::Set(d, 0.200037807f));
  q = hn::MulAdd(q, square, hn::Set(d, 0.333333194f));
  const V half = hn::MulAdd(hn::Mul(s, square), q, s);
  return hn::Add(hn::Max(x, hn::Zero(d)), hn::Add(half, half));
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
