// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_cpu.h"

#include <algorithm>
#include <array>

#include "longwave/base/parallel.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/causal_conv1d/causal_conv1d_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/causal_conv1d/causal_conv1d_window-inl.h"
#include "longwave/ops/elementwise/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int Fixed>
HWY_INLINE void forward_row(ConvActivation activation, const Taps& taps, const Window& window,
                            int64_t width, int64_t first, int64_t channels, float* y) {
  const ChannelTag d;
  for_each_group(channels, [&](ChannelGroup group) HWY_ATTR {
    ChannelVec a = sum_taps<Fixed>(taps, window, width, first, group);
    if (activation == ConvActivation::kSilu) a = hn::Mul(a, sigmoid_vector(d, a));
    store_channels(a, y + group.first, 1, group);
  });
}

template <int Fixed>
void forward_rows(const CausalConv1dArgs<float>& args, const ConvTile& at, const Taps& taps) {
  const int64_t width = args.w.extent(1);
  Window window(args.x, args.history, width, at);
  for (int64_t t = at.begin; t < at.end; ++t) {
    window.advance();
    float* y = args.y.data() + at.sequence * args.y.stride(0) + t * args.y.stride(1) + at.first;
    const int64_t first = first_tap(args.starts, at.sequence, t, width);
    if (first == 0) {
      forward_row<Fixed>(args.activation, taps, window, width, 0, at.channels, y);
    } else {
      forward_row<0>(args.activation, taps, window, width, first, at.channels, y);
    }
  }
}

void conv_forward_tile(const CausalConv1dArgs<float>& args, const ConvTile& at) {
  Taps taps;
  load_taps(args.w, args.b, at, taps);
  switch (args.w.extent(1)) {
    case 2:
      return forward_rows<2>(args, at, taps);
    case 3:
      return forward_rows<3>(args, at, taps);
    case 4:
      return forward_rows<4>(args, at, taps);
    default:
      return forward_rows<0>(args, at, taps);
  }
}

/// What one step of the backward pass reads and writes.
struct BackwardRow {
  ConvActivation activation;
  int64_t width;
  int64_t first;             // the oldest tap that belongs to the sequence
  const float* dy;           // or null past the end, where da is zero
  const float* const* ring;  // da of the last width steps, oldest first; the last is written
  float* da;                 // ring[width - 1]
  float* sums;               // (width + 1, sum_step), or null where the step is another tile's
  int64_t sum_step;
  float* dx;            // gradient of the oldest input in the window, or null
  int64_t reach;        // steps after which a start cuts that input off, or width
  const float* dfinal;  // what is added to it, or null
};

/// da of the newest step, with its share of the sums.
template <int Fixed>
HWY_INLINE ChannelVec newest(const BackwardRow& row, const Taps& taps, const Window& window,
                             ChannelGroup group) {
  const ChannelTag d;
  ChannelVec da = load_channels(row.dy + group.first, 1, group);
  if (row.activation == ConvActivation::kSilu) {
    const ChannelVec a = sum_taps<Fixed>(taps, window, row.width, row.first, group);
    const ChannelVec s = sigmoid_vector(d, a);
    da = hn::Mul(da, hn::MulAdd(a, hn::NegMulAdd(s, s, s), s));
  }
  if (row.sums == nullptr) return da;
  const int64_t begin = Fixed > 0 ? 0 : row.first, end = Fixed > 0 ? Fixed : row.width;
  float* sum = row.sums + group.first;
  for (int64_t k = begin; k < end; ++k) {
    float* at = sum + k * row.sum_step;
    const ChannelVec x = load_channels(window[k] + group.first, 1, group);
    store_channels(hn::MulAdd(da, x, load_channels(at, 1, group)), at, 1, group);
  }
  sum += row.width * row.sum_step;
  store_channels(hn::Add(da, load_channels(sum, 1, group)), sum, 1, group);
  return da;
}

template <int Fixed>
HWY_INLINE void backward_row(const BackwardRow& row, const Taps& taps, const Window& window,
                             int64_t channels) {
  const ChannelTag d;
  const int64_t width = Fixed > 0 ? Fixed : row.width;
  for_each_group(channels, [&](ChannelGroup group) HWY_ATTR {
    ChannelVec da = hn::Zero(d);
    if (row.dy != nullptr) da = newest<Fixed>(row, taps, window, group);
    hn::Store(da, d, row.da + group.first);
    if (row.dx == nullptr) return;
    ChannelVec dx = hn::Zero(d);
    if (row.dfinal != nullptr) dx = load_channels(row.dfinal + group.first, 1, group);
    const int64_t reach = Fixed > 0 ? Fixed : row.reach;
    for (int64_t i = 0; i < reach; ++i) {
      dx = hn::MulAdd(hn::Load(d, taps.w + (width - 1 - i) * taps.tile + group.first),
                      hn::Load(d, row.ring[i] + group.first), dx);
    }
    store_channels(dx, row.dx + group.first, 1, group);
  });
}

/// Steps from `at` on, `width` at most, before the next start.
int64_t reach_of(const View<const uint8_t, 2>& starts, int64_t sequence, int64_t at,
                 int64_t width) {
  if (starts.absent()) return width;
  for (int64_t i = 1; i < width; ++i) {
    if (at + i >= starts.extent(1)) break;
    if (at + i >= 0 && starts(sequence, at + i) != 0) return i;
  }
  return width;
}

/// The place in memory of a row of (batch, time, channels) at the tile's first channel.
template <typename T>
T* row_at(const View<T, 3>& view, const ConvTile& at, int64_t t) {
  if (view.absent()) return nullptr;
  return view.data() + at.sequence * view.stride(0) + t * view.stride(1) + at.first;
}

/// Goes over the steps of the tile and the width - 1 behind it, which reach back into it.
template <int Fixed>
void backward_rows(const CausalConv1dGradArgs<float>& args, const ConvTile& at, const Taps& taps,
                   float* sums) {
  const int64_t width = args.w.extent(1), time = args.x.extent(1);
  const int64_t kept = first_kept(args.starts, at.sequence, time, width);
  HWY_ALIGN float da[kConvTaps];
  std::fill_n(da, width * taps.tile, 0.0f);
  const float* ring[kConvMaxWidth];
  Window window(args.x, args.history, width, at);
  const int64_t oldest = at.begin == 0 ? 1 - width : at.begin;
  for (int64_t t = at.begin; t < at.end + width - 1; ++t) {
    for (int64_t i = 0; i < width; ++i) ring[i] = da + (t + 1 + i) % width * taps.tile;
    BackwardRow row{.activation = args.activation,
                    .width = width,
                    .first = 0,
                    .dy = nullptr,
                    .ring = ring,
                    .da = da + t % width * taps.tile,
                    .sums = nullptr,
                    .sum_step = args.x.extent(2),
                    .dx = nullptr,
                    .reach = width,
                    .dfinal = nullptr};
    if (t < time) {
      window.advance();
      row.first = first_tap(args.starts, at.sequence, t, width);
      row.dy = row_at(args.dy, at, t);
      if (t < at.end) row.sums = sums;
    }
    const int64_t j = t - width + 1, i = j - time + width - 1;
    if (j >= oldest && j < at.end) {
      row.dx = j >= 0 ? row_at(args.dx, at, j) : row_at(args.dhistory, at, j + width - 1);
      row.reach = reach_of(args.starts, at.sequence, j, width);
      if (i >= kept) row.dfinal = row_at(args.dfinal, at, i);
    }
    if (row.first == 0 && row.reach == width) {
      backward_row<Fixed>(row, taps, window, at.channels);
    } else {
      backward_row<0>(row, taps, window, at.channels);
    }
  }
}

void conv_backward_tile(const CausalConv1dGradArgs<float>& args, const ConvTile& at, float* sums) {
  Taps taps;
  load_taps(args.w, args.b, at, taps);
  const int64_t width = args.w.extent(1), channels = args.x.extent(2);
  sums += at.first;
  for (int64_t k = 0; k <= width; ++k) std::fill_n(sums + k * channels, at.channels, 0.0f);
  switch (width) {
    case 2:
      return backward_rows<2>(args, at, taps, sums);
    case 3:
      return backward_rows<3>(args, at, taps, sums);
    case 4:
      return backward_rows<4>(args, at, taps, sums);
    default:
      return backward_rows<0>(args, at, taps, sums);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {
namespace {

HWY_EXPORT(conv_forward_tile);
HWY_EXPORT(conv_backward_tile);

// Elements that are worth another thread; the taps, which each piece reads, count as a step each.
constexpr int64_t kGrain = 1 << 13;

/// Calls body(tile, piece of time of the sequence) for all tiles, several at a time if it pays.
template <typename Body>
void for_each_tile(const View<const float, 3>& x, int64_t width, const Body& body) {
  const int64_t time = x.extent(1), channels = x.extent(2);
  const int64_t span = conv_tile(width), tiles = conv_pieces(channels, span);
  const int64_t pieces = conv_pieces(time, kConvSteps);
  const int64_t work = (std::min(time, kConvSteps) + width) * std::min(channels, span);
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(work, 1));
  parallel_for(x.extent(0) * pieces * tiles, grain, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t tile = item % tiles, piece = item / tiles % pieces;
      const ConvTile at{.sequence = item / tiles / pieces,
                        .first = tile * span,
                        .channels = std::min(span, channels - tile * span),
                        .begin = piece * kConvSteps,
                        .end = std::min((piece + 1) * kConvSteps, time)};
      body(at, at.sequence * pieces + piece);
    }
  });
}

/// Adds the pieces' sums in order, in double.
void join_sums(const CausalConv1dGradArgs<float>& args, std::span<const float> sums) {
  const int64_t channels = args.x.extent(2), width = args.w.extent(1);
  const int64_t pieces = args.x.extent(0) * conv_pieces(args.x.extent(1), kConvSteps);
  parallel_for(conv_pieces(channels, 64) * (width + 1), std::max<int64_t>(1, 256 / (pieces + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t item = begin; item < end; ++item) {
                   const int64_t k = item % (width + 1), first = item / (width + 1) * 64;
                   const int64_t count = std::min<int64_t>(64, channels - first);
                   std::array<double, 64> total{};
                   for (int64_t piece = 0; piece < pieces; ++piece) {
                     const float* from = sums.data() + (piece * (width + 1) + k) * channels + first;
                     for (int64_t c = 0; c < count; ++c) total[c] += from[c];
                   }
                   for (int64_t c = 0; c < count; ++c) {
                     const float value = static_cast<float>(total[c]);
                     if (k < width) args.dw(first + c, k) = value;
                     if (k == width && !args.db.absent()) args.db(first + c) = value;
                   }
                 }
               });
}

/// With no steps the final history is the history.
void pass_through(const CausalConv1dGradArgs<float>& args) {
  if (args.dhistory.absent()) return;
  for (int64_t s = 0; s < args.dhistory.extent(0); ++s) {
    for (int64_t i = 0; i < args.dhistory.extent(1); ++i) {
      for (int64_t c = 0; c < args.dhistory.extent(2); ++c) {
        args.dhistory(s, i, c) = args.dfinal.absent() ? 0.0f : args.dfinal(s, i, c);
      }
    }
  }
}

}  // namespace

void causal_conv1d_cpu(const CausalConv1dArgs<float>& args) {
  for_each_tile(args.x, args.w.extent(1), [&](const ConvTile& at, int64_t) {
    HWY_DYNAMIC_DISPATCH(conv_forward_tile)(args, at);
  });
}

void causal_conv1d_backward_cpu(const CausalConv1dGradArgs<float>& args, std::span<float> sums) {
  const int64_t stride = (args.w.extent(1) + 1) * args.x.extent(2);
  if (args.x.extent(1) == 0) pass_through(args);
  for_each_tile(args.x, args.w.extent(1), [&](const ConvTile& at, int64_t piece) {
    HWY_DYNAMIC_DISPATCH(conv_backward_tile)(args, at, sums.data() + piece * stride);
  });
  join_sums(args, sums);
}

}  // namespace longwave::ops
#endif
