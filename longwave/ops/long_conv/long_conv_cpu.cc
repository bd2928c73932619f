// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/long_conv/long_conv.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/long_conv/long_conv_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#include "longwave/ops/long_conv/fft-inl.h"
#include "longwave/ops/simd/channel_group-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

int64_t lane_count() { return static_cast<int64_t>(hn::Lanes(FftTag())); }

/// The rows of one sequence and a group of its channels, with zeros after the end.
template <typename T>
struct Sequence {
  Sequence(const View<T, 3>& x, int64_t batch, ChannelGroup channels)
      : data(x.data() + batch * x.stride(0) + channels.first * x.stride(2)),
        time(x.extent(1)),
        row_stride(x.stride(1)),
        lane_stride(x.stride(2)),
        group(channels) {}

  HWY_INLINE FftVec at(int64_t t) const {
    return load_channels(data + t * row_stride, lane_stride, group);
  }
  HWY_INLINE void set(int64_t t, FftVec value) const {
    store_channels(value, data + t * row_stride, lane_stride, group);
  }
  HWY_INLINE FftPoint load(int64_t t) const {
    const FftVec zero = hn::Zero(FftTag());
    return {t < time ? at(t) : zero, zero};
  }
  /// The transform back leaves a sequence in the real parts.
  HWY_INLINE void store(FftPoint point, int64_t t) const {
    if (t < time) set(t, point.re);
  }

  T* data;
  int64_t time;
  int64_t row_stride;
  int64_t lane_stride;
  ChannelGroup group;
};

/// Taps of a kernel that can meet a sample.
int64_t useful_taps(const View<const float, 2>& K, int64_t most) {
  return K.absent() ? 0 : std::min(K.extent(1), std::max<int64_t>(most, 0));
}

/// Both kernels as one sequence modulo x^size - i: lag l at point l, lag -(1+l) at size-1-l with
/// factor -i, because x^-(1+l) = -i x^(size-1-l). The skip is one more tap at lag 0, so that u need
/// not be read again. All is divided by the size, which a transform forth and back multiplies by.
template <typename Args>
void load_kernels(const Args& args, ChannelGroup group, float* rows) {
  // Taps of all channels while their rows are in the cache.
  constexpr int64_t kTile = 16;
  const int64_t lanes = lane_count(), size = args.plan->size(), time = args.u.extent(1);
  const float scale = 1.0f / static_cast<float>(size);
  std::fill_n(rows, size * 2 * lanes, 0.0f);
  const int64_t taps = useful_taps(args.K, time), ahead = useful_taps(args.K_ahead, time - 1);
  for (int64_t tile = 0; tile < std::max(taps, ahead); tile += kTile) {
    for (int64_t c = 0; c < group.count; ++c) {
      for (int64_t l = tile; l < std::min(tile + kTile, taps); ++l) {
        rows[l * 2 * lanes + c] = scale * args.K(group.first + c, l);
      }
      for (int64_t l = tile; l < std::min(tile + kTile, ahead); ++l) {
        rows[(size - 1 - l) * 2 * lanes + lanes + c] = -scale * args.K_ahead(group.first + c, l);
      }
    }
  }
  for (int64_t c = 0; c < (args.d.absent() ? 0 : group.count); ++c) {
    rows[c] += scale * args.d(group.first + c);
  }
}

/// Gradients of what load_kernels reads.
void store_kernel_grads(const float* rows, const LongConvGradArgs<float>& args,
                        ChannelGroup group) {
  const int64_t lanes = lane_count(), size = args.plan->size(), time = args.u.extent(1);
  const float scale = 1.0f / static_cast<float>(size);
  const int64_t ahead = args.dK_ahead.absent() ? 0 : args.dK_ahead.extent(1);
  for (int64_t c = 0; c < group.count; ++c) {
    const int64_t channel = group.first + c;
    for (int64_t l = 0; l < args.dK.extent(1); ++l) {
      args.dK(channel, l) = l < time ? scale * rows[l * 2 * lanes + c] : 0.0f;
    }
    for (int64_t l = 0; l < ahead; ++l) {
      args.dK_ahead(channel, l) =
          l < time - 1 ? -scale * rows[(size - 1 - l) * 2 * lanes + lanes + c] : 0.0f;
    }
    if (!args.d.absent()) args.dd(channel) = scale * rows[c];
  }
}

/// Memory of one thread.
struct Scratch {
  float* kernel;
  float* input;
  float* output;
  float* sum;
  float* butterfly;
};

template <typename Args>
void transform_kernels(const Args& args, ChannelGroup group, const Scratch& scratch) {
  load_kernels(args, group, scratch.kernel);
  FftWalk(*args.plan, scratch.kernel, scratch.butterfly).forward(FftRows{scratch.kernel});
}

void convolve_group(const LongConvArgs<float>& args, ChannelGroup group, const Scratch& scratch) {
  transform_kernels(args, group, scratch);
  const auto multiply = [&](int64_t first, int64_t count) {
    for (int64_t p = first; p < first + count; ++p) {
      const FftPoint u = load_point(scratch.input, p);
      store_point(u * load_point(scratch.kernel, p), scratch.input, p);
    }
  };
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    FftWalk(*args.plan, scratch.input, scratch.butterfly)
        .round_trip(Sequence<const float>(args.u, b, group), multiply,
                    Sequence<float>(args.y, b, group));
  }
}

void convolve_group_grad(const LongConvGradArgs<float>& args, ChannelGroup group,
                         const Scratch& scratch) {
  transform_kernels(args, group, scratch);
  std::fill_n(scratch.sum, args.plan->size() * 2 * lane_count(), 0.0f);
  const auto multiply = [&](int64_t first, int64_t count) {
    for (int64_t p = first; p < first + count; ++p) {
      const FftPoint u = load_point(scratch.input, p), dy = load_point(scratch.output, p);
      store_point(add_times_conj(load_point(scratch.sum, p), dy, u), scratch.sum, p);
      store_point(times_conj(dy, load_point(scratch.kernel, p)), scratch.output, p);
    }
  };
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    FftWalk(*args.plan, scratch.input, scratch.butterfly)
        .forward(Sequence<const float>(args.u, b, group));
    FftWalk(*args.plan, scratch.output, scratch.butterfly)
        .round_trip(Sequence<const float>(args.dy, b, group), multiply,
                    Sequence<float>(args.du, b, group));
  }
  FftWalk(*args.plan, scratch.sum, scratch.butterfly).inverse(FftRows{scratch.sum});
  store_kernel_grads(scratch.sum, args, group);
}

/// Runs `body(group, scratch)` for all groups of channels on as many threads as have memory.
template <typename Body>
void for_each_group(int64_t channels, int64_t time, Workspace& workspace, const Body& body) {
  const int64_t lanes = lane_count();
  const int64_t groups = (channels + lanes - 1) / lanes;
  const int64_t room = static_cast<int64_t>((workspace.capacity() - workspace.used()) /
                                            long_conv_worker_bytes(time));
  const int64_t workers = std::clamp<int64_t>(std::min(groups, room), 1, thread_count());
  const Workspace::Scope scope(workspace);
  const int64_t floats = static_cast<int64_t>(long_conv_worker_bytes(time) / sizeof(float));
  const int64_t spectrum = FftPlan::good_size(std::max<int64_t>(time, 1)) * 2 * lanes;
  float* memory = workspace.take<float>(workers * floats).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      float* mine = memory + worker * floats;
      const Scratch scratch{mine, mine + spectrum, mine + 2 * spectrum, mine + 3 * spectrum,
                            mine + 4 * spectrum};
      for (int64_t g = groups * worker / workers; g < groups * (worker + 1) / workers; ++g) {
        body(channel_group(g, channels), scratch);
      }
    }
  });
}

void convolve(const LongConvArgs<float>& args, Workspace& workspace) {
  for_each_group(
      args.u.extent(2), args.u.extent(1), workspace,
      [&](ChannelGroup group, const Scratch& scratch) { convolve_group(args, group, scratch); });
}

void convolve_grad(const LongConvGradArgs<float>& args, Workspace& workspace) {
  for_each_group(args.u.extent(2), args.u.extent(1), workspace,
                 [&](ChannelGroup group, const Scratch& scratch) {
                   convolve_group_grad(args, group, scratch);
                 });
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(convolve);
HWY_EXPORT(convolve_grad);

void long_conv_cpu(const LongConvArgs<float>& args, Workspace& workspace) {
  if (args.u.size() == 0) return;
  HWY_DYNAMIC_DISPATCH(convolve)(args, workspace);
}

void long_conv_grad_cpu(const LongConvGradArgs<float>& args, Workspace& workspace) {
  if (args.u.extent(2) == 0) return;
  HWY_DYNAMIC_DISPATCH(convolve_grad)(args, workspace);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
