// SPDX-License-Identifier: Apache-2.0
//
// Taps and inputs that a step of a convolution sees, for one SIMD target; to be included by
// `_cpu.cc` files after hwy/foreach_target.h.

#if defined(LONGWAVE_OPS_CAUSAL_CONV1D_CAUSAL_CONV1D_WINDOW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGWAVE_OPS_CAUSAL_CONV1D_CAUSAL_CONV1D_WINDOW_INL_H_
#undef LONGWAVE_OPS_CAUSAL_CONV1D_CAUSAL_CONV1D_WINDOW_INL_H_
#else
#define LONGWAVE_OPS_CAUSAL_CONV1D_CAUSAL_CONV1D_WINDOW_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "longwave/ops/causal_conv1d/causal_conv1d_cpu.h"
#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Taps of a tile with channels adjacent, zero in lanes without a channel.
struct Taps {
  HWY_ALIGN float w[kConvTaps];  // (width, tile)
  HWY_ALIGN float b[kConvTile];
  int64_t tile;
};

HWY_NOINLINE void load_taps(const View<const float, 2>& w, const View<const float, 1>& b,
                            const ConvTile& at, Taps& taps) {
  const ChannelTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), width = w.extent(1);
  taps.tile = hwy::RoundUpTo(static_cast<size_t>(at.channels), 16);
  int64_t c = 0;
  if (width == 4 && w.stride(1) == 1 && w.stride(0) == 4) {
    for (; c + lanes <= at.channels; c += lanes) {
      ChannelVec w0, w1, w2, w3;
      hn::LoadInterleaved4(d, w.data() + (at.first + c) * 4, w0, w1, w2, w3);
      hn::Store(w0, d, taps.w + c);
      hn::Store(w1, d, taps.w + taps.tile + c);
      hn::Store(w2, d, taps.w + 2 * taps.tile + c);
      hn::Store(w3, d, taps.w + 3 * taps.tile + c);
    }
  }
  for (int64_t k = 0; k < width; ++k) {
    for (int64_t i = c; i < taps.tile; ++i) {
      taps.w[k * taps.tile + i] = i < at.channels ? w(at.first + i, k) : 0.0f;
    }
  }
  std::fill_n(taps.b, taps.tile, 0.0f);
  if (b.absent()) return;
  for (int64_t i = 0; i < at.channels; ++i) taps.b[i] = b(at.first + i);
}

/// The inputs that one step sees, oldest first, and which of them belong to its sequence.
class Window {
 public:
  Window(const View<const float, 3>& x, const View<const float, 3>& history, int64_t width,
         const ConvTile& at)
      : width_(width), next_(at.begin) {
    x_ = x.data() + at.sequence * x.stride(0) + at.first;
    x_step_ = x.stride(1);
    if (!history.absent()) {
      history_ = history.data() + at.sequence * history.stride(0) + at.first;
      history_step_ = history.stride(1);
    }
    for (int64_t k = 1; k < width; ++k) rows_[k] = row(at.begin - width + k);
  }

  /// Moves on by one step.
  HWY_INLINE void advance() {
    for (int64_t k = 0; k + 1 < width_; ++k) rows_[k] = rows_[k + 1];
    rows_[width_ - 1] = row(next_++);
  }
  HWY_INLINE const float* operator[](int64_t tap) const { return rows_[tap]; }

 private:
  const float* row(int64_t at) const {
    if (at >= 0) return x_ + at * x_step_;
    if (history_ == nullptr) return kZeros;
    return history_ + (at + width_ - 1) * history_step_;
  }

  static constexpr float kZeros[kConvTile] = {};
  int64_t width_, next_;
  const float* x_;
  const float* history_ = nullptr;
  int64_t x_step_, history_step_ = 0;
  const float* rows_[kConvMaxWidth];
};

/// a = b + sum over taps from `first` on. Width is Fixed unless that is 0.
template <int Fixed>
HWY_INLINE ChannelVec sum_taps(const Taps& taps, const Window& window, int64_t width, int64_t first,
                               ChannelGroup group) {
  const ChannelTag d;
  ChannelVec sum = hn::Load(d, taps.b + group.first);
  const int64_t begin = Fixed > 0 ? 0 : first, end = Fixed > 0 ? Fixed : width;
  for (int64_t k = begin; k < end; ++k) {
    sum = hn::MulAdd(hn::Load(d, taps.w + k * taps.tile + group.first),
                     load_channels(window[k] + group.first, 1, group), sum);
  }
  return sum;
}

/// Calls body(group) for each vector of channels; whole ones are known as such to the compiler.
template <typename Body>
HWY_INLINE void for_each_group(int64_t channels, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) body(ChannelGroup{c, lanes});
  if (c < channels) body(ChannelGroup{c, channels - c});
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
