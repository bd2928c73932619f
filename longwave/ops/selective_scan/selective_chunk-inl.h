// SPDX-License-Identifier: Apache-2.0
//
// What the kernels of selective_scan share, for one SIMD target; to be included by `_cpu.cc` files
// after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_SELECTIVE_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_SELECTIVE_CHUNK_INL_H_
#undef LONGWAVE_OPS_SELECTIVE_CHUNK_INL_H_
#else
#define LONGWAVE_OPS_SELECTIVE_CHUNK_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "longwave/ops/elementwise/exp-inl.h"
#include "longwave/ops/selective_scan/selective_chunk.h"
#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

using Tag = ChannelTag;
using Vec = ChannelVec;

constexpr int64_t kRow = kTileLanes;
constexpr int64_t kPanel = kMaxSelectiveChunk * kRow;

/// kCount things in registers. Members rather than an array, which the compiler would keep in
/// memory. `each` calls body(thing, index).
template <class Thing, int kCount>
struct Bundle {
  template <class Body>
  HWY_INLINE void each(const Body& body, int k = 0) {
    body(first, k);
    rest.each(body, k + 1);
  }

  Thing first;
  Bundle<Thing, kCount - 1> rest;
};
template <class Thing>
struct Bundle<Thing, 0> {
  template <class Body>
  HWY_INLINE void each(const Body&, int) {}
};

/// Covers `states` by bundles of kStates, then by smaller ones, the smallest of kStateMultiple:
/// run(count, first state).
template <int kStates, class Run>
HWY_INLINE void for_each_bundle(int64_t states, const Run& run, int64_t first = 0) {
  for (; first + kStates <= states; first += kStates) {
    run(std::integral_constant<int, kStates>(), first);
  }
  if constexpr (kStates > kStateMultiple) {
    for_each_bundle<kStates / 2>(states, run, first);
  } else if (first < states) {
    run(std::integral_constant<int, kStates>(), first);
  }
}

/// Channels of a tile that lie in the vector from `lane` on.
HWY_INLINE ChannelGroup lanes_from(int64_t lane, int64_t channels) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Tag()));
  return {lane, std::clamp<int64_t>(channels - lane, 0, lanes)};
}

HWY_INLINE Vec load_row(const StepRows<const float>& rows, int64_t t, ChannelGroup group) {
  return load_channels(rows.row(t) + group.first * rows.stride, rows.stride, group);
}
HWY_INLINE void store_row(Vec value, const StepRows<float>& rows, int64_t t, ChannelGroup group) {
  store_channels(value, rows.row(t) + group.first * rows.stride, rows.stride, group);
}

/// The row of a later or earlier chunk that corresponds to step `t` of this one.
HWY_INLINE void fetch_row(const StepRows<const float>& rows, const SelectiveChunk& in, int64_t t) {
  if (rows.at != nullptr) hwy::Prefetch(rows.row(t + in.soon));
}

/// Step sizes of step `t`, before softplus.
HWY_INLINE Vec raw_steps(const SelectiveChunk& in, int64_t t, ChannelGroup group) {
  return hn::Add(load_row(in.dt, t, group), hn::Load(Tag(), in.dt_bias + group.first));
}
HWY_INLINE Vec steps_of(const SelectiveChunk& in, Vec raw) {
  return in.step_size == StepSize::kSoftplus ? softplus_vector(Tag(), raw) : raw;
}

/// kStates numbers a step of B or C, adjacent: the operand itself where it lies so, else a copy
/// with zeros for void states.
template <int kStates>
class PackedStates {
 public:
  PackedStates(const StepRows<const float>& rows, int64_t first, int64_t state, int64_t time) {
    if (rows.stride == 1 && first + kStates <= state) {
      at_ = rows.at + first;
      step_ = rows.step;
      return;
    }
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t k = 0; k < kStates; ++k) {
        const bool real = first + k < state;
        copy_[t * kStates + k] = real ? rows.row(t)[(first + k) * rows.stride] : 0.0f;
      }
    }
    at_ = copy_;
    step_ = kStates;
  }

  HWY_INLINE const float* row(int64_t t) const { return at_ + t * step_; }

 private:
  const float* at_;
  int64_t step_;
  float copy_[kMaxSelectiveChunk * kStates];
};

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
