// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "longwave/ops/matmul/rounded_columns.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/matmul/rounded_columns_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The 32 numbers at x.
void round_block(const float* HWY_RESTRICT x, const RoundedColumns& to) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> whole;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const int lanes = static_cast<int>(hn::Lanes(d));
  // Magnitudes are ordered as their bits are, with what is not finite on top.
  auto bits = hn::Zero(whole);
  for (int i = 0; i < 32; i += lanes) {
    bits = hn::Max(bits, hn::BitCast(whole, hn::Abs(hn::LoadU(d, x + i))));
  }
  const float most = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(whole, bits)));
  if (!std::isfinite(most)) {
    std::fill_n(to.q, 32, int8_t{0});
    *to.scale = std::numeric_limits<float>::quiet_NaN();
    std::fill_n(to.sum, 2, 0);
    return;
  }
  // A subnormal scale has no inverse: its numbers are as good as zero.
  const auto inverse = hn::Set(d, most > 1e-35f ? 127 / most : 0);
  for (int half = 0; half < 2; ++half) {
    auto sum = hn::Zero(whole);
    for (int i = 16 * half; i < 16 * half + 16; i += lanes) {
      const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
      hn::StoreU(hn::DemoteTo(bytes, q), bytes, to.q + i);
      sum = hn::Add(sum, q);
    }
    to.sum[half] = hn::GetLane(hn::SumOfLanes(whole, sum));
  }
  *to.scale = most / 127;
}

void round_blocks(const float* x, int64_t columns, const RoundedColumns& to) {
  for (int64_t i = 0; i < columns; i += 32) round_block(x + i, to.from(i));
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(round_blocks);

void round_columns_cpu(const float* x, int64_t columns, const RoundedColumns& to) {
  HWY_DYNAMIC_DISPATCH(round_blocks)(x, columns, to);
}

}  // namespace longwave::ops
#endif
