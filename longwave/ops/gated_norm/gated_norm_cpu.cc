// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "longwave/ops/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/gated_norm/gated_norm_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/elementwise/exp-inl.h"
#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// What stands around the normalisation.
enum class Gate : uint8_t { kNone, kBefore, kAfter };

Gate gate_of(GateOrder order, const View<const float, 2>& z) {
  if (z.absent()) return Gate::kNone;
  return order == GateOrder::kBefore ? Gate::kBefore : Gate::kAfter;
}

HWY_INLINE ChannelVec load(const float* at, ChannelGroup lanes) {
  return load_channels(at + lanes.first, 1, lanes);
}
HWY_INLINE void store(ChannelVec value, float* at, ChannelGroup lanes) {
  store_channels(value, at + lanes.first, 1, lanes);
}

/// Calls body(lanes) for each vector of `count` adjacent channels; the last may be a part of one.
/// Whole ones are known as such to the compiler.
template <typename Body>
HWY_INLINE void for_each_group(int64_t count, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  int64_t c = 0;
  for (; c + lanes <= count; c += lanes) body(ChannelGroup{c, lanes});
  if (c < count) body(ChannelGroup{c, count - c});
}

HWY_INLINE ChannelVec silu(ChannelVec z) {
  const ChannelTag d;
  return hn::Mul(z, sigmoid_vector(d, z));
}

/// One group of one row: gives its inverse.
template <Gate Where>
float normalise(const GatedNormArgs<float>& args, int64_t row, int64_t first, int64_t size) {
  const ChannelTag d;
  const float* x = args.x[row].data() + first;
  const float* z = Where == Gate::kNone ? nullptr : args.z[row].data() + first;
  const float* w = args.w.data() + first;
  float* y = args.y[row].data() + first;
  ChannelVec square = hn::Zero(d);
  for_each_group(size, [&](ChannelGroup at) HWY_ATTR {
    ChannelVec v = load(x, at);
    if constexpr (Where == Gate::kBefore) {
      v = hn::Mul(v, silu(load(z, at)));
      store(v, y, at);
    }
    square = hn::MulAdd(v, v, square);
  });
  const float sum = hn::GetLane(hn::SumOfLanes(d, square));
  const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(size) + args.epsilon);
  const ChannelVec scale = hn::Set(d, inverse);
  for_each_group(size, [&](ChannelGroup at) HWY_ATTR {
    const ChannelVec v = Where == Gate::kBefore ? load(y, at) : load(x, at);
    ChannelVec out = hn::Mul(hn::Mul(v, scale), load(w, at));
    if constexpr (Where == Gate::kAfter) out = hn::Mul(out, silu(load(z, at)));
    store(out, y, at);
  });
  return inverse;
}

template <Gate Where>
void normalise_rows(const GatedNormArgs<float>& args, int64_t begin, int64_t end) {
  const int64_t size = args.x.extent(1) / args.groups;
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t g = 0; g < args.groups; ++g) {
      const float inverse = normalise<Where>(args, r, g * size, size);
      if (!args.inverse.absent()) args.inverse(r, g) = inverse;
    }
  }
}

void gated_norm_rows(const GatedNormArgs<float>& args, int64_t begin, int64_t end) {
  switch (gate_of(args.order, args.z)) {
    case Gate::kNone:
      return normalise_rows<Gate::kNone>(args, begin, end);
    case Gate::kBefore:
      return normalise_rows<Gate::kBefore>(args, begin, end);
    case Gate::kAfter:
      return normalise_rows<Gate::kAfter>(args, begin, end);
  }
}

/// What the backward pass of one group of one row works on, at the group's first channel.
struct GradRow {
  const float* x;
  const float* z;
  const float* w;
  const float* dy;
  float* dx;
  float* dz;
  float* dw;
  int64_t size;
  float inverse;
};

/// First pass: adds to dw, gives the sum of g u, and leaves in dx and dz what the second one needs:
/// s and x silu'(z) if the gate is before, g and dz itself if it is after, g without one.
template <Gate Where>
float first_pass(const GradRow& row) {
  const ChannelTag d;
  const ChannelVec scale = hn::Set(d, row.inverse);
  ChannelVec product = hn::Zero(d);
  for_each_group(row.size, [&](ChannelGroup at) HWY_ATTR {
    const ChannelVec dy = load(row.dy, at), w = load(row.w, at), x = load(row.x, at);
    ChannelVec u = hn::Mul(x, scale), term = hn::Mul(dy, u), dx = hn::Mul(dy, w);
    if constexpr (Where != Gate::kNone) {
      const ChannelVec z = load(row.z, at), sigmoid = sigmoid_vector(d, z);
      const ChannelVec s = hn::Mul(z, sigmoid);
      const ChannelVec slope = hn::MulAdd(z, hn::NegMulAdd(sigmoid, sigmoid, sigmoid), sigmoid);
      store(hn::Mul(Where == Gate::kBefore ? x : hn::Mul(dx, u), slope), row.dz, at);
      term = hn::Mul(term, s);
      dx = Where == Gate::kBefore ? s : hn::Mul(dx, s);
    }
    store(dx, row.dx, at);
    store(hn::Add(load(row.dw, at), term), row.dw, at);
    product = hn::MulAdd(term, w, product);
  });
  return hn::GetLane(hn::SumOfLanes(d, product));
}

template <Gate Where>
void second_pass(const GradRow& row, float mean) {
  const ChannelTag d;
  const ChannelVec scale = hn::Set(d, row.inverse), share = hn::Set(d, mean);
  for_each_group(row.size, [&](ChannelGroup at) HWY_ATTR {
    const ChannelVec u = hn::Mul(load(row.x, at), scale), left = load(row.dx, at);
    if constexpr (Where == Gate::kBefore) {
      const ChannelVec g = hn::Mul(load(row.dy, at), load(row.w, at));
      const ChannelVec dv = hn::Mul(scale, hn::NegMulAdd(hn::Mul(u, left), share, g));
      store(hn::Mul(dv, left), row.dx, at);
      store(hn::Mul(dv, load(row.dz, at)), row.dz, at);
    } else {
      store(hn::Mul(scale, hn::NegMulAdd(u, share, left)), row.dx, at);
    }
  });
}

template <Gate Where>
void backward_rows(const GatedNormGradArgs<float>& args, float* dw, int64_t begin, int64_t end) {
  const int64_t groups = args.inverse.extent(1), size = args.x.extent(1) / groups;
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = g * size;
      const GradRow row{.x = args.x[r].data() + first,
                        .z = Where == Gate::kNone ? nullptr : args.z[r].data() + first,
                        .w = args.w.data() + first,
                        .dy = args.dy[r].data() + first,
                        .dx = args.dx[r].data() + first,
                        .dz = Where == Gate::kNone ? nullptr : args.dz[r].data() + first,
                        .dw = dw + first,
                        .size = size,
                        .inverse = args.inverse(r, g)};
      second_pass<Where>(row, first_pass<Where>(row) / static_cast<float>(size));
    }
  }
}

void gated_norm_grad_rows(const GatedNormGradArgs<float>& args, float* dw, int64_t begin,
                          int64_t end) {
  std::fill_n(dw, args.x.extent(1), 0.0f);
  switch (gate_of(args.order, args.z)) {
    case Gate::kNone:
      return backward_rows<Gate::kNone>(args, dw, begin, end);
    case Gate::kBefore:
      return backward_rows<Gate::kBefore>(args, dw, begin, end);
    case Gate::kAfter:
      return backward_rows<Gate::kAfter>(args, dw, begin, end);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {
namespace {

HWY_EXPORT(gated_norm_rows);
HWY_EXPORT(gated_norm_grad_rows);

}  // namespace

void gated_norm_cpu(const GatedNormArgs<float>& args) {
  over_rows(args.x.extent(0), args.x.extent(1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(gated_norm_rows)(args, begin, end);
  });
}

void gated_norm_backward_cpu(const GatedNormGradArgs<float>& args, std::span<float> sums) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t grain = rows * channels < kRowsGrain ? kGatedNormPieces : 1;
  parallel_for(kGatedNormPieces, grain, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      HWY_DYNAMIC_DISPATCH(gated_norm_grad_rows)
      (args, sums.data() + piece * channels, rows * piece / kGatedNormPieces,
       rows * (piece + 1) / kGatedNormPieces);
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t piece = 0; piece < kGatedNormPieces; ++piece) sum += sums[piece * channels + c];
    args.dw(c) = static_cast<float>(sum);
  }
}

}  // namespace longwave::ops
#endif
