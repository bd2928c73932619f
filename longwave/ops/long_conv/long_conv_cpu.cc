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

  T* data;
  int64_t time;
  int64_t row_stride;
  int64_t lane_stride;
  ChannelGroup group;
};

/// Writes real parts, scaled, plus a multiple of another sequence: y = re / size + d u.
struct PlusSkip {
  HWY_INLINE void store(FftPoint point, int64_t t) const {
    if (t >= out.time) return;
    const FftVec skipped = has_skip ? hn::Mul(skip, in.at(t)) : hn::Zero(FftTag());
    out.set(t, hn::MulAdd(point.re, scale, skipped));
  }

  Sequence<float> out;
  Sequence<const float> in;
  FftVec skip;
  FftVec scale;
  bool has_skip;
};

FftVec load_skip(const View<const float, 1>& d, ChannelGroup group) {
  if (d.absent()) return hn::Zero(FftTag());
  return load_channels(d.data() + group.first * d.stride(0), d.stride(0), group);
}

/// Taps of a kernel that can meet a sample.
int64_t useful_taps(const View<const float, 2>& K, int64_t most) {
  return K.absent() ? 0 : std::min(K.extent(1), most);
}

/// Both kernels as one sequence modulo x^size - i: lag l at point l, lag -(1+l) at size-1-l with
/// factor -i, because x^-(1+l) = -i x^(size-1-l).
void load_kernels(const View<const float, 2>& K, const View<const float, 2>& K_ahead, int64_t time,
                  const FftPlan& plan, ChannelGroup group, float* rows) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FftTag()));
  std::fill_n(rows, plan.size() * 2 * lanes, 0.0f);
  for (int64_t c = 0; c < group.count; ++c) {
    const int64_t taps = useful_taps(K, time);
    for (int64_t l = 0; l < taps; ++l) rows[l * 2 * lanes + c] = K(group.first + c, l);
    const int64_t taps_ahead = useful_taps(K_ahead, time - 1);
    for (int64_t l = 0; l < taps_ahead; ++l) {
      rows[(plan.size() - 1 - l) * 2 * lanes + lanes + c] = -K_ahead(group.first + c, l);
    }
  }
}

/// The gradient of load_kernels, divided by the size of the transform.
void store_kernels(const float* rows, const View<float, 2>& dK, const View<float, 2>& dK_ahead,
                   int64_t time, const FftPlan& plan, ChannelGroup group) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FftTag()));
  const float scale = 1.0f / static_cast<float>(plan.size());
  for (int64_t c = 0; c < group.count; ++c) {
    for (int64_t l = 0; l < dK.extent(1); ++l) {
      dK(group.first + c, l) = l < time ? scale * rows[l * 2 * lanes + c] : 0.0f;
    }
    for (int64_t l = 0; l < (dK_ahead.absent() ? 0 : dK_ahead.extent(1)); ++l) {
      dK_ahead(group.first + c, l) =
          l < time - 1 ? -scale * rows[(plan.size() - 1 - l) * 2 * lanes + lanes + c] : 0.0f;
    }
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

void convolve_group(const LongConvArgs<float>& args, ChannelGroup group, const Scratch& scratch) {
  const FftPlan& plan = *args.plan;
  const FftVec scale = hn::Set(FftTag(), 1.0f / static_cast<float>(plan.size()));
  load_kernels(args.K, args.K_ahead, args.u.extent(1), plan, group, scratch.kernel);
  FftWalk(plan, scratch.kernel, scratch.butterfly).forward(FftRows{scratch.kernel});
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    const Sequence<const float> u(args.u, b, group);
    const PlusSkip y{Sequence<float>(args.y, b, group), u, load_skip(args.d, group), scale,
                     !args.d.absent()};
    FftWalk(plan, scratch.input, scratch.butterfly)
        .round_trip(
            u,
            [&](int64_t first, int64_t count) {
              for (int64_t p = first; p < first + count; ++p) {
                store_point(load_point(scratch.input, p) * load_point(scratch.kernel, p),
                            scratch.input, p);
              }
            },
            y);
  }
}

/// sum_t dy[t] u[t] of one sequence, added to `total`.
FftVec add_products(const Sequence<const float>& dy, const Sequence<const float>& u, FftVec total) {
  FftVec even = hn::Zero(FftTag()), odd = hn::Zero(FftTag());
  int64_t t = 0;
  for (; t + 1 < u.time; t += 2) {
    even = hn::MulAdd(dy.at(t), u.at(t), even);
    odd = hn::MulAdd(dy.at(t + 1), u.at(t + 1), odd);
  }
  if (t < u.time) even = hn::MulAdd(dy.at(t), u.at(t), even);
  return hn::Add(total, hn::Add(even, odd));
}

void convolve_group_grad(const LongConvGradArgs<float>& args, ChannelGroup group,
                         const Scratch& scratch) {
  const FftPlan& plan = *args.plan;
  const FftTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const FftVec scale = hn::Set(d, 1.0f / static_cast<float>(plan.size()));
  load_kernels(args.K, args.K_ahead, args.u.extent(1), plan, group, scratch.kernel);
  FftWalk(plan, scratch.kernel, scratch.butterfly).forward(FftRows{scratch.kernel});
  std::fill_n(scratch.sum, plan.size() * 2 * lanes, 0.0f);
  FftVec skip_sum = hn::Zero(d);
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    const Sequence<const float> u(args.u, b, group), dy(args.dy, b, group);
    const PlusSkip du{Sequence<float>(args.du, b, group), dy, load_skip(args.d, group), scale,
                      !args.d.absent()};
    FftWalk(plan, scratch.input, scratch.butterfly).forward(u);
    FftWalk(plan, scratch.output, scratch.butterfly)
        .round_trip(
            dy,
            [&](int64_t first, int64_t count) {
              for (int64_t p = first; p < first + count; ++p) {
                const FftPoint dy_p = load_point(scratch.output, p);
                store_point(
                    add_times_conj(load_point(scratch.sum, p), dy_p, load_point(scratch.input, p)),
                    scratch.sum, p);
                store_point(times_conj(dy_p, load_point(scratch.kernel, p)), scratch.output, p);
              }
            },
            du);
    if (!args.d.absent()) skip_sum = add_products(dy, u, skip_sum);
  }
  FftWalk(plan, scratch.sum, scratch.butterfly).inverse(FftRows{scratch.sum});
  store_kernels(scratch.sum, args.dK, args.dK_ahead, args.u.extent(1), plan, group);
  if (!args.d.absent()) {
    store_channels(skip_sum, args.dd.data() + group.first * args.dd.stride(0), args.dd.stride(0),
                   group);
  }
}

/// Runs `body(group, scratch)` for all groups of channels on as many threads as have memory.
template <typename Body>
void for_each_group(int64_t channels, int64_t time, Workspace& workspace, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FftTag()));
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
