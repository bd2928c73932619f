// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/lti_scan/lti_step_cpu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Advances `modes` adjacent complex states by one step; the sum of the real parts of c h.
float step_modes(const float* a, const float* c, float u, float* h, int64_t modes) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto input = hn::Set(d, u);
  auto sum = hn::Zero(d);
  int64_t n = 0;
  for (; n + lanes <= modes; n += lanes) {
    hn::Vec<decltype(d)> a_re, a_im, c_re, c_im, h_re, h_im;
    hn::LoadInterleaved2(d, a + 2 * n, a_re, a_im);
    hn::LoadInterleaved2(d, c + 2 * n, c_re, c_im);
    hn::LoadInterleaved2(d, h + 2 * n, h_re, h_im);
    const auto re = hn::NegMulAdd(a_im, h_im, hn::MulAdd(a_re, h_re, input));
    const auto im = hn::MulAdd(a_re, h_im, hn::Mul(a_im, h_re));
    hn::StoreInterleaved2(re, im, d, h + 2 * n);
    sum = hn::NegMulAdd(c_im, im, hn::MulAdd(c_re, re, sum));
  }
  float rest = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; n < modes; ++n) {
    const float re = a[2 * n] * h[2 * n] - a[2 * n + 1] * h[2 * n + 1] + u;
    const float im = a[2 * n] * h[2 * n + 1] + a[2 * n + 1] * h[2 * n];
    h[2 * n] = re;
    h[2 * n + 1] = im;
    rest += c[2 * n] * re - c[2 * n + 1] * im;
  }
  return rest;
}

void step_rows(const LtiScanArgs<float>& args, int64_t t) {
  const int64_t modes = args.a.extent(1);
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    for (int64_t c = 0; c < args.u.extent(2); ++c) {
      const float u = args.u(b, t, c);
      float y = args.d.absent() ? 0.0f : args.d(c) * u;
      if (modes > 0) {
        y += step_modes(reinterpret_cast<const float*>(&args.a(c, 0)),
                        reinterpret_cast<const float*>(&args.c(c, 0)), u,
                        reinterpret_cast<float*>(&args.h(b, c, 0)), modes);
      }
      args.y(b, t, c) = y;
    }
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {

HWY_EXPORT(step_rows);

void lti_step_cpu(const LtiScanArgs<float>& args, int64_t t) {
  const FlushSubnormals flush;
  const bool adjacent = args.a.stride(1) == 1 && args.c.stride(1) == 1 && args.h.stride(2) == 1;
  if (adjacent || args.a.extent(1) <= 1) {
    HWY_DYNAMIC_DISPATCH(step_rows)(args, t);
    return;
  }
  LtiScanArgs<float> step = args;
  step.u = args.u.slice(1, t, 1);
  step.y = args.y.slice(1, t, 1);
  lti_scan_ref(step);
}

}  // namespace longwave::ops
#endif
