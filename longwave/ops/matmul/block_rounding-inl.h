// SPDX-License-Identifier: Apache-2.0
//
// 32 columns of x as 8-bit integers, for one SIMD target; to be included by `_cpu.cc` files after
// hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_MATMUL_BLOCK_ROUNDING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_MATMUL_BLOCK_ROUNDING_INL_H_
#undef LONGWAVE_OPS_MATMUL_BLOCK_ROUNDING_INL_H_
#else
#define LONGWAVE_OPS_MATMUL_BLOCK_ROUNDING_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "longwave/ops/matmul/vnni_target-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

/// What 32 columns became beside their numbers.
struct RoundedBlock {
  float scale;
  int32_t sums[8];  ///< of four adjacent numbers each

  int32_t sum() const {
    int32_t all = 0;
    for (const int32_t sum : sums) all += sum;
    return all;
  }
};

/// 32 columns of a row of x, to the nearest multiple of a 127th of the largest.
HWY_INLINE RoundedBlock round_block(const float* HWY_RESTRICT x, int8_t* HWY_RESTRICT to) {
  float most = 0;
  bool finite = true;
  for (int i = 0; i < 32; ++i) {
    const float magnitude = std::abs(x[i]);
    finite = finite && magnitude <= std::numeric_limits<float>::max();
    most = std::max(most, magnitude);
  }
  // A subnormal scale has no inverse: its numbers are as good as zero.
  const float inverse = finite && most > 1e-35f ? 127 / most : 0;
  int32_t q[32];
  for (int i = 0; i < 32; ++i) {
    const float y = (finite ? x[i] : 0) * inverse;
    q[i] = static_cast<int32_t>((y + 0x1.8p23f) - 0x1.8p23f);
  }
  for (int i = 0; i < 32; ++i) to[i] = static_cast<int8_t>(q[i]);
  RoundedBlock rounded;
  rounded.scale = finite ? most / 127 : std::numeric_limits<float>::quiet_NaN();
  for (int j = 0; j < 8; ++j) {
    rounded.sums[j] = q[4 * j] + q[4 * j + 1] + q[4 * j + 2] + q[4 * j + 3];
  }
  return rounded;
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
