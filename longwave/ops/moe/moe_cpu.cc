// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe_cpu.h"

#include "longwave/ops/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/moe/moe_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Tokens [begin, end) of combine.
void combine_tokens(const CombineArgs<float>& args, int64_t begin, int64_t end) {
  const ChannelTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), channels = args.y.extent(1);
  for (int64_t t = begin; t < end; ++t) {
    float* y = args.y[t].data();
    for (int64_t g = 0; g * lanes < channels; ++g) {
      const ChannelGroup at = channel_group(g, channels);
      ChannelVec sum = hn::Zero(d);
      for (int64_t j = 0; j < args.place.extent(1); ++j) {
        const float weight = args.weights.absent() ? 1.0f : args.weights(t, j);
        const float* row = args.rows.data() + args.place(t, j) * args.rows.stride(0) + at.first;
        sum = hn::MulAdd(hn::Set(d, weight), load_channels(row, 1, at), sum);
      }
      store_channels(sum, y + at.first, 1, at);
    }
  }
}

/// Tokens [begin, end) of combine_backward.
void combine_backward_tokens(const CombineGradArgs<float>& args, int64_t begin, int64_t end) {
  const ChannelTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), channels = args.dy.extent(1);
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t j = 0; j < args.place.extent(1); ++j) {
      const int64_t place = args.place(t, j);
      const float* dy = args.dy.data() + t * args.dy.stride(0);
      const float* row = args.rows.data() + place * args.rows.stride(0);
      float* drow = args.drows.data() + place * args.drows.stride(0);
      const ChannelVec weight = hn::Set(d, args.weights(t, j));
      ChannelVec dot = hn::Zero(d);
      for (int64_t g = 0; g * lanes < channels; ++g) {
        const ChannelGroup at = channel_group(g, channels);
        const ChannelVec slope = load_channels(dy + at.first, 1, at);
        dot = hn::MulAdd(slope, load_channels(row + at.first, 1, at), dot);
        store_channels(hn::Mul(weight, slope), drow + at.first, 1, at);
      }
      args.dweights(t, j) = hn::GetLane(hn::SumOfLanes(d, dot));
    }
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(combine_tokens);
HWY_EXPORT(combine_backward_tokens);

void combine_cpu(const CombineArgs<float>& args) {
  const int64_t work = args.y.extent(1) * args.place.extent(1);
  over_rows(args.y.extent(0), work, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(combine_tokens)(args, begin, end);
  });
}

void combine_backward_cpu(const CombineGradArgs<float>& args) {
  const int64_t work = args.dy.extent(1) * args.place.extent(1);
  over_rows(args.dy.extent(0), work, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(combine_backward_tokens)(args, begin, end);
  });
}

}  // namespace longwave::ops
#endif
