// SPDX-License-Identifier: Apache-2.0
//
// Sums over the lanes of several vectors at once, for one SIMD target; to be included by `_cpu.cc`
// files after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_SIMD_LANE_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_SIMD_LANE_SUMS_INL_H_
#undef LONGWAVE_OPS_SIMD_LANE_SUMS_INL_H_
#else
#define LONGWAVE_OPS_SIMD_LANE_SUMS_INL_H_
#endif

#include <hwy/highway.h>

#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

// The target without vectors has none of the operations that move lanes.
#if HWY_TARGET == HWY_SCALAR

/// Adds to four adjacent numbers the sums over lanes of four vectors.
HWY_INLINE void add_lane_sums(ChannelVec v0, ChannelVec v1, ChannelVec v2, ChannelVec v3,
                              float* to) {
  to[0] += hn::GetLane(v0);
  to[1] += hn::GetLane(v1);
  to[2] += hn::GetLane(v2);
  to[3] += hn::GetLane(v3);
}

#else

/// In each block of four lanes: the sums of the four vectors over the lanes of that block.
HWY_INLINE ChannelVec block_sums(ChannelVec v0, ChannelVec v1, ChannelVec v2, ChannelVec v3) {
  const ChannelTag d;
  const hn::RepartitionToWide<ChannelTag> wide;
  const auto pairs = [&](ChannelVec x, ChannelVec y) __attribute__((always_inline)) {
    return hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, x, y), hn::InterleaveUpper(d, x, y)));
  };
  const auto low = pairs(v0, v1), high = pairs(v2, v3);
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, low, high)),
                 hn::BitCast(d, hn::InterleaveUpper(wide, low, high)));
}

/// The sum of all blocks of four lanes, as one block.
template <class D>
HWY_INLINE hn::Vec<hn::CappedTag<float, 4> > sum_of_blocks([[maybe_unused]] D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return sum_of_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

/// Adds to four adjacent numbers the sums over lanes of four vectors.
HWY_INLINE void add_lane_sums(ChannelVec v0, ChannelVec v1, ChannelVec v2, ChannelVec v3,
                              float* to) {
  const hn::CappedTag<float, 4> d;
  const auto sums = sum_of_blocks(ChannelTag(), block_sums(v0, v1, v2, v3));
  hn::StoreU(hn::Add(hn::LoadU(d, to), sums), d, to);
}

#endif

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
