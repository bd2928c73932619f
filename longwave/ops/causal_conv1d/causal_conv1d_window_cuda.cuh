// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "longwave/ops/causal_conv1d/causal_conv1d_check.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"

namespace longwave::ops::conv_cuda {

inline constexpr int kThreads = 128;
// Channels of a thread, where they can be read at once: the gradient keeps more of each.
inline constexpr int kWide = 4, kGradWide = 2;
inline constexpr int kCommonTaps = 4;
inline constexpr int kAhead = 4;  // steps whose inputs are under way together
inline constexpr int64_t kSteps = kCausalConv1dCudaSteps;

inline int64_t stretches(int64_t time) { return (time + kSteps - 1) / kSteps; }

// What a thread works on; c is the first of its channels.
struct Place {
  int64_t b, begin, end, c;
  bool there;
};

template <int kPack>
__device__ Place place_of(int64_t time, int64_t channels) {
  constexpr int kChannels = kThreads * kPack;
  const int64_t tiles = (channels + kChannels - 1) / kChannels, row = blockIdx.x / tiles;
  const int64_t count = (time + kSteps - 1) / kSteps;
  const int64_t begin = row % count * kSteps;
  const int64_t c = blockIdx.x % tiles * kChannels + threadIdx.x * kPack;
  return {row / count, begin, min(begin + kSteps, time), c, c < channels};
}

template <typename Args>
__device__ bool starts_at(const Args& args, int64_t b, int64_t t) {
  return !args.starts.absent() && args.starts(b, t) != 0;
}

// What is known when a kernel is compiled: filters of kTaps = kCommonTaps taps, each read at once,
// or of any number up to kTaps; the channels of a thread; whether sequences may start within.
template <int kTapsOfPlan, int kPackOfPlan, bool kStartsOfPlan>
struct Plan {
  static constexpr int kTaps = kTapsOfPlan, kPack = kPackOfPlan;
  using Pack = gpu::Pack<kPack>;

  template <typename Args>
  __device__ static int width(const Args& args) {
    return kTaps == kCommonTaps ? kCommonTaps : static_cast<int>(args.w.extent(1));
  }
  template <typename Args>
  __device__ static bool starts_at(const Args& args, int64_t b, int64_t t) {
    if constexpr (kStartsOfPlan) return args.starts(b, t) != 0;
    return false;
  }
};

// The input at step t, from the history if that lies before the first one.
template <typename Args>
__device__ float input(const Args& args, int64_t b, int64_t t, int64_t c) {
  if (t >= 0) return gpu::widen(args.x(b, t, c));
  const int64_t kept = args.w.extent(1) - 1;
  return args.history.absent() || t < -kept ? 0.0f : gpu::widen(args.history(b, t + kept, c));
}

// Numbers of kAhead steps from t on, of a thread's channels; those from `end` on are not read.
template <int kPack, typename T>
__device__ void read_ahead(const View<const T, 3>& from, const Place& at, int64_t t, int64_t end,
                           gpu::Pack<kPack> (&to)[kAhead]) {
  const T* const first = &from(at.b, t, at.c);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    if (t + i < end) to[i] = gpu::load_pack<kPack>(first + i * from.stride(1));
  }
}

// The taps and last inputs of channels: x[d] is the input d steps back, 0 behind a start.
template <typename P>
struct Window {
  using Pack = typename P::Pack;
  Pack w[P::kTaps], x[P::kTaps], b;

  Window() = default;
  template <typename Args>
  __device__ Window(const Args& args, const Place& at) {
    read_taps(args, at);
    const int width = P::width(args);
    bool reached = true;
#pragma unroll
    for (int d = 0; d < P::kTaps; ++d) {
      const int64_t t = at.begin - 1 - d;
      reached = reached && d + 1 < width;
#pragma unroll
      for (int k = 0; k < P::kPack; ++k) {
        x[d].v[k] = reached ? input(args, at.b, t, at.c + k) : 0.0f;
      }
      reached = reached && (t < 0 || !P::starts_at(args, at.b, t));
    }
  }

  template <typename Args>
  __device__ void read_taps(const Args& args, const Place& at) {
    const int width = P::width(args);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      if constexpr (P::kTaps == kCommonTaps) {
        const auto taps = gpu::load_pack<kCommonTaps>(&args.w(at.c + k, 0));
#pragma unroll
        for (int d = 0; d < kCommonTaps; ++d) w[d].v[k] = taps.v[kCommonTaps - 1 - d];
      } else {
#pragma unroll
        for (int d = 0; d < P::kTaps; ++d) {
          w[d].v[k] = d < width ? args.w(at.c + k, width - 1 - d) : 0.0f;
        }
      }
      b.v[k] = args.b.absent() ? 0.0f : args.b(at.c + k);
    }
  }

  __device__ void enter(const Pack& next, bool start) {
#pragma unroll
    for (int d = P::kTaps - 1; d > 0; --d) x[d] = start ? Pack{} : x[d - 1];
    x[0] = next;
  }

  __device__ float sum(int k) const {
    float a = b.v[k];
#pragma unroll
    for (int d = P::kTaps - 1; d >= 0; --d) a = fmaf(w[d].v[k], x[d].v[k], a);
    return a;
  }
};

inline void check_width(const char* where, const CausalConv1dShape& shape) {
  require(shape.width <= kCausalConv1dCudaWidth, where, "the filter must have 1 to 8 taps");
}

// Calls body(plan) with what suits these operands.
template <typename T, int kPack, typename Args, typename Body, typename... Views>
void with_plan(const Args& args, const Body& body, const Views&... views) {
  constexpr int kMost = kCausalConv1dCudaWidth;
  const bool packed = gpu::in_pieces(args.w, kCommonTaps, kCommonTaps * sizeof(float)) &&
                      (gpu::in_pieces(views, args.x.extent(2), kPack * sizeof(T)) && ...);
  if (args.w.extent(1) != kCommonTaps || !packed) {
    if (args.starts.absent()) return body(Plan<kMost, 1, false>());
    return body(Plan<kMost, 1, true>());
  }
  if (args.starts.absent()) return body(Plan<kCommonTaps, kPack, false>());
  body(Plan<kCommonTaps, kPack, true>());
}

template <typename Args>
unsigned blocks_of(const Args& args, int pack, const char* where) {
  const int64_t of_block = int64_t{kThreads} * pack;
  const int64_t tiles = (args.x.extent(2) + of_block - 1) / of_block;
  return gpu::blocks_for(args.x.extent(0) * stretches(args.x.extent(1)) * tiles, 1, where);
}

}  // namespace longwave::ops::conv_cuda
