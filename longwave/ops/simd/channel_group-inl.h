// SPDX-License-Identifier: Apache-2.0
//
// Rows of adjacent channels as vectors, for one SIMD target; to be included by `_cpu.cc` files
// after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_SIMD_CHANNEL_GROUP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_SIMD_CHANNEL_GROUP_INL_H_
#undef LONGWAVE_OPS_SIMD_CHANNEL_GROUP_INL_H_
#else
#define LONGWAVE_OPS_SIMD_CHANNEL_GROUP_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Vectors whose lanes are channels; no wider than 16, so that scratch has a known size.
using ChannelTag = hn::CappedTag<float, 16>;
using ChannelVec = hn::Vec<ChannelTag>;

/// As many adjacent channels as a vector has lanes, or fewer at the end.
struct ChannelGroup {
  int64_t first;
  int64_t count;
};

HWY_INLINE ChannelGroup channel_group(int64_t index, int64_t channels) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  return {index * lanes, std::min(lanes, channels - index * lanes)};
}

/// One number of each channel of a group; zero in lanes without a channel.
HWY_INLINE ChannelVec load_channels(const float* at, int64_t stride, ChannelGroup group) {
  const ChannelTag d;
  if (stride == 1 && group.count == static_cast<int64_t>(hn::Lanes(d))) return hn::LoadU(d, at);
  HWY_ALIGN float row[16] = {};
  for (int64_t c = 0; c < group.count; ++c) row[c] = at[c * stride];
  return hn::Load(d, row);
}

HWY_INLINE void store_channels(ChannelVec value, float* at, int64_t stride, ChannelGroup group) {
  const ChannelTag d;
  if (stride == 1 && group.count == static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(value, d, at);
    return;
  }
  HWY_ALIGN float row[16] = {};
  hn::Store(value, d, row);
  for (int64_t c = 0; c < group.count; ++c) at[c * stride] = row[c];
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
