// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/fft.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/long_conv/fft_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#include "longwave/ops/long_conv/fft-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

int64_t row_lanes() { return static_cast<int64_t>(hn::Lanes(FftTag())); }

void forward_rows(const FftPlan& plan, float* rows, float* scratch) {
  FftWalk(plan, rows, scratch).forward(FftRows{rows});
}

void inverse_rows(const FftPlan& plan, float* rows, float* scratch) {
  FftWalk(plan, rows, scratch).inverse(FftRows{rows});
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(row_lanes);
HWY_EXPORT(forward_rows);
HWY_EXPORT(inverse_rows);

int64_t fft_lanes() { return HWY_DYNAMIC_DISPATCH(row_lanes)(); }

void fft_forward(const FftPlan& plan, float* rows, float* scratch) {
  HWY_DYNAMIC_DISPATCH(forward_rows)(plan, rows, scratch);
}

void fft_inverse(const FftPlan& plan, float* rows, float* scratch) {
  HWY_DYNAMIC_DISPATCH(inverse_rows)(plan, rows, scratch);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
