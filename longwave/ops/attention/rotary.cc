// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/rotary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

/// Sines and cosines of all pairs at one position.
struct Turn {
  std::array<double, kRotaryMaxDims / 2> cosine, sine;

  void set(int64_t position, const double* rates, int64_t pairs, RotaryDirection direction) {
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * rates[i];
      cosine[i] = std::cos(angle);
      sine[i] = direction == RotaryDirection::kForward ? std::sin(angle) : -std::sin(angle);
    }
  }
};

/// Turns one head at one step.
template <typename T>
void turn_head(const RotaryArgs<T>& args, const Turn& turn, const T* x, T* y) {
  const int64_t pairs = args.dims / 2;
  const bool halves = args.pairs == RotaryPairs::kHalves;
  const int64_t apart = halves ? pairs : 1, step = halves ? 1 : 2;
  const int64_t from = args.x.stride(3), to = args.y.stride(3);
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t first = i * step, second = first + apart;
    const T a = x[first * from], b = x[second * from];
    const T cosine = static_cast<T>(turn.cosine[i]), sine = static_cast<T>(turn.sine[i]);
    y[first * to] = a * cosine - b * sine;
    y[second * to] = a * sine + b * cosine;
  }
  for (int64_t p = args.dims; p < args.x.extent(3); ++p) y[p * to] = x[p * from];
}

template <typename T>
void check(const RotaryArgs<T>& args) {
  const char* where = "rotary";
  require_shape(where, "y", args.y, args.x.extents());
  if (!args.start.absent()) require_shape(where, "start", args.start, {args.x.extent(0)});
  require(args.base > 0, where, "base must be positive");
  if (args.dims >= 0 && args.dims % 2 == 0 && args.dims <= args.x.extent(3) &&
      args.dims <= kRotaryMaxDims) {
    return;
  }
  throw InvalidArgument({.where = where,
                         .what = "dims must be even and not larger than head_dim",
                         .got = fmt::format("{} of {}", args.dims, args.x.extent(3)),
                         .fix = fmt::format("choose an even number up to {}",
                                            std::min(args.x.extent(3), kRotaryMaxDims))});
}

}  // namespace

template <typename T>
void rotary(const RotaryArgs<T>& args) {
  constexpr int64_t kGrain = 1 << 14;
  check(args);
  std::array<double, kRotaryMaxDims / 2> rates;
  const int64_t pairs = args.dims / 2, batch = args.x.extent(0), heads = args.x.extent(2);
  for (int64_t i = 0; i < pairs; ++i) {
    rates[i] = std::pow(args.base, -2.0 * static_cast<double>(i) / static_cast<double>(args.dims));
  }
  const int64_t work = std::max<int64_t>(1, batch * heads * args.x.extent(3));
  parallel_for(args.x.extent(1), std::max<int64_t>(1, kGrain / work),
               [&](int64_t begin, int64_t end) {
                 Turn turn;
                 for (int64_t t = begin; t < end; ++t) {
                   for (int64_t s = 0; s < batch; ++s) {
                     const int64_t start = args.start.absent() ? 0 : args.start(s);
                     const bool same = s > 0 && (args.start.absent() || args.start(s - 1) == start);
                     if (!same) turn.set(start + t, rates.data(), pairs, args.direction);
                     for (int64_t h = 0; h < heads; ++h) {
                       const T* x = args.x.data() + s * args.x.stride(0) + t * args.x.stride(1);
                       T* y = args.y.data() + s * args.y.stride(0) + t * args.y.stride(1);
                       turn_head(args, turn, x + h * args.x.stride(2), y + h * args.y.stride(2));
                     }
                   }
                 }
               });
}

template void rotary(const RotaryArgs<float>&);
template void rotary(const RotaryArgs<double>&);

}  // namespace longwave::ops
