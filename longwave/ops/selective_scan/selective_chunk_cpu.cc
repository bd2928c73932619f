// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_chunk.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/selective_scan/selective_chunk_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/selective_scan/selective_chunk-inl.h"
#include "longwave/ops/simd/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

// States that are held in registers at once.
constexpr int kForwardStates = HWY_MAX_BYTES >= 64 ? 8 : 4;

struct ForwardPanels {
  alignas(64) float s[kPanel];   // step sizes
  alignas(64) float su[kPanel];  // times the input
  alignas(64) float y[kPanel];   // before the gate
};

void prepare(const SelectiveForwardChunk& chunk, ChannelGroup group, ForwardPanels& panels) {
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const Vec skip = hn::Load(d, in.D + group.first);
  for (int64_t t = 0; t < in.time; ++t) {
    const int64_t at = t * kRow + group.first;
    const Vec s = steps_of(in, raw_steps(in, t, group));
    const Vec u = load_row(in.u, t, group);
    hn::Store(s, d, panels.s + at);
    hn::Store(hn::Mul(s, u), d, panels.su + at);
    hn::Store(hn::Mul(skip, u), d, panels.y + at);
  }
}

// Fetches step `t` of what the next chunk reads and of what this one writes.
HWY_INLINE void fetch_rows(const SelectiveForwardChunk& chunk, int64_t t) {
  const SelectiveChunk& in = chunk.in;
  hwy::Prefetch(chunk.y.row(t));
  if (t >= in.soon_count) return;
  fetch_row(in.u, in, t);
  fetch_row(in.dt, in, t);
  fetch_row(in.z, in, t);
}

// Takes kStates states from `n` on through the chunk, and adds their readout to y.
template <int kStates>
void scan_states(const SelectiveForwardChunk& chunk, int64_t n, int64_t lane,
                 ForwardPanels& panels) {
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const PackedStates<kStates> B(in.B, n, in.state, in.time), C(in.C, n, in.state, in.time);
  const float* HWY_RESTRICT A = in.A + n * kRow + lane;
  float* h_rows = chunk.h + n * kRow + lane;
  Bundle<Vec, kStates> h;
  h.each([&](Vec & v, int k)
             __attribute__((always_inline)) { v = hn::Load(d, h_rows + k * kRow); });
  for (int64_t t = 0; t < in.time; ++t) {
    if (n == 0) fetch_rows(chunk, t);
    if (in.starts.at != nullptr && *in.starts.row(t) != 0) {
      h.each([&](Vec & v, int) __attribute__((always_inline)) { v = hn::Zero(d); });
    }
    const float* b = B.row(t);
    const float* c = C.row(t);
    const Vec s = hn::Load(d, panels.s + t * kRow + lane);
    const Vec su = hn::Load(d, panels.su + t * kRow + lane);
    // Two sums: one chain of additions would be too long.
    Vec even = hn::Load(d, panels.y + t * kRow + lane), odd = hn::Zero(d);
    h.each([&](Vec & v, int k) __attribute__((always_inline)) {
      const Vec decay = exp2_vector(d, hn::Mul(s, hn::Load(d, A + k * kRow)));
      v = hn::MulAdd(su, hn::Set(d, b[k]), hn::Mul(decay, v));
      Vec& y = k % 2 == 0 ? even : odd;
      y = hn::MulAdd(v, hn::Set(d, c[k]), y);
    });
    hn::Store(hn::Add(even, odd), d, panels.y + t * kRow + lane);
  }
  h.each([&](Vec & v, int k)
             __attribute__((always_inline)) { hn::Store(v, d, h_rows + k * kRow); });
}

Vec gated(const SelectiveChunk& in, Vec y, int64_t t, ChannelGroup group) {
  if (in.z.at == nullptr) return y;
  const Vec z = load_row(in.z, t, group);
  return hn::Mul(y, hn::Mul(z, sigmoid_vector(Tag(), z)));
}

void forward_chunk(const SelectiveForwardChunk& chunk) {
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  ForwardPanels panels;
  for (int64_t lane = 0; lane < in.channels; lane += lanes) {
    const ChannelGroup group = lanes_from(lane, in.channels);
    prepare(chunk, group, panels);
    for_each_bundle<kForwardStates>(
        in.state, [&](auto count, int64_t n) { scan_states<count()>(chunk, n, lane, panels); });
    for (int64_t t = 0; t < in.time; ++t) {
      const Vec y = hn::Load(d, panels.y + t * kRow + lane);
      store_row(gated(in, y, t, group), chunk.y, t, group);
    }
  }
}

// How the states of a channel lie: in whole vectors of adjacent numbers, or anyhow.
enum class StatesLie : uint8_t { kInVectors, kAnyhow };

bool starts_here(const SelectiveStep& step) {
  return step.in.starts.at != nullptr && *step.in.starts.at != 0;
}

StatesLie states_lie(const SelectiveStep& step) {
  const SelectiveChunk& in = step.in;
  const bool adjacent =
      in.B.stride == 1 && in.C.stride == 1 && step.A.stride == 1 && step.h.stride == 1;
  const bool whole = in.state % static_cast<int64_t>(hn::Lanes(Tag())) == 0;
  return adjacent && whole && in.channels == kRow && !starts_here(step) ? StatesLie::kInVectors
                                                                        : StatesLie::kAnyhow;
}

// The terms of one channel's readout C . h after its step, states over lanes.
HWY_INLINE Vec step_vectors(const SelectiveStep& step, int64_t c, float s, float su) {
  const Tag d;
  const SelectiveChunk& in = step.in;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* HWY_RESTRICT A = step.A.row(c);
  float* HWY_RESTRICT h_row = step.h.row(c);
  const Vec rate = hn::Set(d, s * 1.44269504f), input = hn::Set(d, su);
  Vec y = hn::Zero(d);
  for (int64_t n = 0; n < in.state; n += lanes) {
    const Vec decay = exp2_vector(d, hn::Mul(rate, hn::LoadU(d, A + n)));
    const Vec h =
        hn::MulAdd(input, hn::LoadU(d, in.B.at + n), hn::Mul(decay, hn::LoadU(d, h_row + n)));
    hn::StoreU(h, d, h_row + n);
    y = hn::MulAdd(h, hn::LoadU(d, in.C.at + n), y);
  }
  return y;
}

// The same for any strides and counts; zeros of a channel that is none.
HWY_INLINE Vec step_channel(const SelectiveStep& step, int64_t c, float s, float su) {
  const Tag d;
  const SelectiveChunk& in = step.in;
  if (c >= in.channels) return hn::Zero(d);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const bool start = starts_here(step);
  const float* A = step.A.row(c);
  float* h_row = step.h.row(c);
  const Vec rate = hn::Set(d, s * 1.44269504f), input = hn::Set(d, su);
  Vec y = hn::Zero(d);
  for (int64_t n = 0; n < in.state; n += lanes) {
    const ChannelGroup part = lanes_from(n, in.state);
    const Vec decay =
        exp2_vector(d, hn::Mul(rate, load_channels(A + n * step.A.stride, step.A.stride, part)));
    const Vec b = load_channels(in.B.at + n * in.B.stride, in.B.stride, part);
    const Vec former = load_channels(h_row + n * step.h.stride, step.h.stride, part);
    const Vec h = hn::MulAdd(input, b, start ? hn::Zero(d) : hn::Mul(decay, former));
    store_channels(h, h_row + n * step.h.stride, step.h.stride, part);
    y = hn::MulAdd(h, load_channels(in.C.at + n * in.C.stride, in.C.stride, part), y);
  }
  return y;
}

void step_tile(const SelectiveStep& step) {
  const Tag d;
  const SelectiveChunk& in = step.in;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  alignas(64) float s[kRow], su[kRow], y[kRow];
  for (int64_t lane = 0; lane < kRow; lane += lanes) {
    const ChannelGroup group = lanes_from(lane, in.channels);
    const Vec steps = steps_of(in, raw_steps(in, 0, group));
    const Vec u = load_row(in.u, 0, group);
    hn::Store(steps, d, s + lane);
    hn::Store(hn::Mul(steps, u), d, su + lane);
    hn::Store(hn::Mul(hn::Load(d, in.D + lane), u), d, y + lane);
  }
  const auto add_readouts = [&](const auto& readout) __attribute__((always_inline)) {
    for (int64_t c = 0; c < in.channels; c += 4) {
      add_lane_sums(readout(c), readout(c + 1), readout(c + 2), readout(c + 3), y + c);
    }
  };
  if (states_lie(step) == StatesLie::kInVectors) {
    add_readouts([&](int64_t c)
                     __attribute__((always_inline)) { return step_vectors(step, c, s[c], su[c]); });
  } else {
    add_readouts([&](int64_t c)
                     __attribute__((always_inline)) { return step_channel(step, c, s[c], su[c]); });
  }
  for (int64_t lane = 0; lane < in.channels; lane += lanes) {
    const ChannelGroup group = lanes_from(lane, in.channels);
    store_row(gated(in, hn::Load(d, y + lane), 0, group), step.y, 0, group);
  }
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(forward_chunk);
HWY_EXPORT(step_tile);

void selective_forward_chunk(const SelectiveForwardChunk& chunk) {
  HWY_DYNAMIC_DISPATCH(forward_chunk)(chunk);
}

void selective_step(const SelectiveStep& step) { HWY_DYNAMIC_DISPATCH(step_tile)(step); }

}  // namespace longwave::ops
#endif
