// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/selective_scan/selective_chunk.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/selective_scan/selective_chunk_backward_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/selective_scan/selective_chunk-inl.h"
#include "longwave/ops/simd/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

constexpr int kBackwardStates = 8;
constexpr float kLn2 = 0.69314718f;

// Everything that a chunk's way forward leaves for the way back.
struct BackwardPanels {
  alignas(64) float s[kPanel];      // step sizes
  alignas(64) float slope[kPanel];  // their derivative
  alignas(64) float u[kPanel];
  alignas(64) float su[kPanel];         // s u
  alignas(64) float dyg[kPanel];        // dy through the gate
  alignas(64) float dgate[kPanel];      // dy silu'(z)
  alignas(64) float y[kPanel];          // before the gate
  alignas(64) float through_B[kPanel];  // g . B
  alignas(64) float through_A[kPanel];  // sum_n A g exp(s A) h[t-1]
  // Of one bundle of states: exp(s A) and exp(s A) h[t-1].
  alignas(64) float decay[kPanel * kBackwardStates];
  alignas(64) float decayed[kPanel * kBackwardStates];
};

void prepare(const SelectiveBackwardChunk& chunk, ChannelGroup group, BackwardPanels& panels) {
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const Vec one = hn::Set(d, 1.0f), skip = hn::Load(d, in.D + group.first);
  for (int64_t t = 0; t < in.time; ++t) {
    const int64_t at = t * kRow + group.first;
    const Vec raw = raw_steps(in, t, group), s = steps_of(in, raw);
    const Vec u = load_row(in.u, t, group), dy = load_row(chunk.dy, t, group);
    const Vec slope = in.step_size == StepSize::kSoftplus ? sigmoid_vector(d, raw) : one;
    hn::Store(s, d, panels.s + at);
    hn::Store(slope, d, panels.slope + at);
    hn::Store(u, d, panels.u + at);
    hn::Store(hn::Mul(s, u), d, panels.su + at);
    hn::Store(hn::Mul(skip, u), d, panels.y + at);
    hn::Store(hn::Zero(d), d, panels.through_B + at);
    hn::Store(hn::Zero(d), d, panels.through_A + at);
    if (in.z.at == nullptr) {
      hn::Store(dy, d, panels.dyg + at);
      continue;
    }
    const Vec z = load_row(in.z, t, group), open = sigmoid_vector(d, z);
    const Vec by_open = hn::Mul(dy, open);
    hn::Store(hn::Mul(by_open, z), d, panels.dyg + at);
    hn::Store(hn::Mul(by_open, hn::MulAdd(z, hn::Sub(one, open), one)), d, panels.dgate + at);
  }
}

// Fetches step `t` of what the next chunk reads and of what this one writes, and a state's kept
// row.
HWY_INLINE void fetch_rows(const SelectiveBackwardChunk& chunk, int64_t t) {
  const SelectiveChunk& in = chunk.in;
  hwy::Prefetch(chunk.du.row(t));
  hwy::Prefetch(chunk.ddt.row(t));
  if (chunk.dz.at != nullptr) hwy::Prefetch(chunk.dz.row(t));
  if (t >= in.soon_count) return;
  fetch_row(in.u, in, t);
  fetch_row(in.dt, in, t);
  fetch_row(in.z, in, t);
  fetch_row(chunk.dy, in, t);
  if (t < in.state) hwy::Prefetch(chunk.h.row(t) + chunk.h_soon);
}

bool starts_at(const SelectiveChunk& in, int64_t t) {
  return in.starts.at != nullptr && *in.starts.row(t) != 0;
}

// Takes kStates states from `n` on through the chunk again, keeping what the way back needs.
template <int kStates>
void states_again(const SelectiveBackwardChunk& chunk, int64_t n, ChannelGroup group,
                  BackwardPanels& panels) {
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const int64_t lane = group.first;
  const PackedStates<kStates> B(in.B, n, in.state, in.time), C(in.C, n, in.state, in.time);
  const float* HWY_RESTRICT A = in.A + n * kRow + lane;
  Bundle<Vec, kStates> h;
  h.each([&](Vec & v, int k) __attribute__((always_inline)) {
    v = n + k < in.state ? load_row(chunk.h, n + k, group) : hn::Zero(d);
  });
  for (int64_t t = 0; t < in.time; ++t) {
    if (n == 0) fetch_rows(chunk, t);
    if (starts_at(in, t)) {
      h.each([&](Vec & v, int) __attribute__((always_inline)) { v = hn::Zero(d); });
    }
    const float* b = B.row(t);
    const float* c = C.row(t);
    const Vec s = hn::Load(d, panels.s + t * kRow + lane);
    const Vec su = hn::Load(d, panels.su + t * kRow + lane);
    Vec even = hn::Load(d, panels.y + t * kRow + lane), odd = hn::Zero(d);
    float* decay = panels.decay + t * kStates * kRow;
    float* decayed = panels.decayed + t * kStates * kRow;
    h.each([&](Vec & v, int k) __attribute__((always_inline)) {
      const Vec a = exp2_vector(d, hn::Mul(s, hn::Load(d, A + k * kRow)));
      const Vec p = hn::Mul(a, v);
      hn::Store(a, d, decay + k * kRow);
      hn::Store(p, d, decayed + k * kRow);
      v = hn::MulAdd(su, hn::Set(d, b[k]), p);
      Vec& y = k % 2 == 0 ? even : odd;
      y = hn::MulAdd(v, hn::Set(d, c[k]), y);
    });
    hn::Store(hn::Add(even, odd), d, panels.y + t * kRow + lane);
  }
}

// A step on the way back: its operands, and sums over states in the making.
struct StepBack {
  const float* b;
  const float* c;
  const float* decay;
  const float* decayed;
  Vec s, su, dyg;
  Vec through_B, through_A;
};

// Terms of dB and dC.
struct Terms {
  Vec B, C;
};

// Takes state k of a bundle one step back: g comes as the gradient of h[t] from later steps, and
// leaves as that of h[t-1].
HWY_INLINE Terms back(StepBack& at, int k, const float* HWY_RESTRICT A, float* HWY_RESTRICT dA,
                      Vec& g) {
  const Tag d;
  const Vec b = hn::Set(d, at.b[k]), p = hn::Load(d, at.decayed + k * kRow);
  g = hn::MulAdd(at.dyg, hn::Set(d, at.c[k]), g);
  const Vec h = hn::MulAdd(at.su, b, p);
  const Vec q = hn::Mul(g, p);
  at.through_B = hn::MulAdd(g, b, at.through_B);
  at.through_A = hn::MulAdd(q, hn::Load(d, A + k * kRow), at.through_A);
  hn::Store(hn::MulAdd(q, at.s, hn::Load(d, dA + k * kRow)), d, dA + k * kRow);
  const Terms terms{hn::Mul(g, at.su), hn::Mul(h, at.dyg)};
  g = hn::Mul(g, hn::Load(d, at.decay + k * kRow));
  return terms;
}

// Four states on the way back; members rather than an array, as in Bundle.
struct AdjointQuad {
  HWY_INLINE void step(StepBack& at, int k, const float* A, float* dA, float* dB, float* dC) {
    const Terms t0 = back(at, k, A, dA, g0), t1 = back(at, k + 1, A, dA, g1);
    const Terms t2 = back(at, k + 2, A, dA, g2), t3 = back(at, k + 3, A, dA, g3);
    add_lane_sums(t0.B, t1.B, t2.B, t3.B, dB + k);
    add_lane_sums(t0.C, t1.C, t2.C, t3.C, dC + k);
  }
  HWY_INLINE void load(const float* g) {
    const Tag d;
    g0 = hn::Load(d, g);
    g1 = hn::Load(d, g + kRow);
    g2 = hn::Load(d, g + 2 * kRow);
    g3 = hn::Load(d, g + 3 * kRow);
  }
  HWY_INLINE void clear() { g0 = g1 = g2 = g3 = hn::Zero(Tag()); }
  HWY_INLINE void store(float* g) const {
    const Tag d;
    hn::Store(g0, d, g);
    hn::Store(g1, d, g + kRow);
    hn::Store(g2, d, g + 2 * kRow);
    hn::Store(g3, d, g + 3 * kRow);
  }

  Vec g0, g1, g2, g3;
};

// Takes the gradient of kStates states from `n` on back through the chunk.
template <int kStates>
void states_back(const SelectiveBackwardChunk& chunk, int64_t n, int64_t lane,
                 BackwardPanels& panels) {
  static_assert(kStateMultiple == 4);
  const Tag d;
  const SelectiveChunk& in = chunk.in;
  const int64_t padded = (in.state + kStateMultiple - 1) / kStateMultiple * kStateMultiple;
  const PackedStates<kStates> B(in.B, n, in.state, in.time), C(in.C, n, in.state, in.time);
  const float* A = in.A + n * kRow + lane;
  float* g_rows = chunk.g + n * kRow + lane;
  alignas(64) float dA[kStates * kRow] = {};
  Bundle<AdjointQuad, kStates / 4> g;
  g.each([&](AdjointQuad & quad, int i)
             __attribute__((always_inline)) { quad.load(g_rows + 4 * i * kRow); });
  for (int64_t t = in.time - 1; t >= 0; --t) {
    const int64_t row = t * kRow + lane;
    StepBack at{.b = B.row(t),
                .c = C.row(t),
                .decay = panels.decay + t * kStates * kRow,
                .decayed = panels.decayed + t * kStates * kRow,
                .s = hn::Load(d, panels.s + row),
                .su = hn::Load(d, panels.su + row),
                .dyg = hn::Load(d, panels.dyg + row),
                .through_B = hn::Load(d, panels.through_B + row),
                .through_A = hn::Load(d, panels.through_A + row)};
    float* dB = chunk.dB + t * padded + n;
    float* dC = chunk.dC + t * padded + n;
    g.each([&](AdjointQuad & quad, int i)
               __attribute__((always_inline)) { quad.step(at, 4 * i, A, dA, dB, dC); });
    // Nothing flows back through the beginning of a sequence, not even infinity.
    if (starts_at(in, t)) {
      g.each([&](AdjointQuad & quad, int) __attribute__((always_inline)) { quad.clear(); });
    }
    hn::Store(at.through_B, d, panels.through_B + row);
    hn::Store(at.through_A, d, panels.through_A + row);
  }
  g.each([&](AdjointQuad & quad, int i)
             __attribute__((always_inline)) { quad.store(g_rows + 4 * i * kRow); });
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t k = 0; k < kStates; ++k) {
    double* total = chunk.dA + (n + k) * kRow + lane;
    for (int64_t i = 0; i < lanes; ++i) total[i] += static_cast<double>(dA[k * kRow + i]);
  }
}

// Adds the lanes of a vector to doubles.
void add_to(Vec value, double* totals) {
  const Tag d;
  HWY_ALIGN float lanes[kRow];
  hn::Store(value, d, lanes);
  for (size_t i = 0; i < hn::Lanes(d); ++i) totals[i] += static_cast<double>(lanes[i]);
}

// What follows from the sums over states.
void finish(const SelectiveBackwardChunk& chunk, ChannelGroup group, const BackwardPanels& panels) {
  const Tag d;
  const Vec skip = hn::Load(d, chunk.in.D + group.first), ln2 = hn::Set(d, kLn2);
  Vec dD = hn::Zero(d), ddt_bias = hn::Zero(d);
  for (int64_t t = 0; t < chunk.in.time; ++t) {
    const int64_t at = t * kRow + group.first;
    const Vec u = hn::Load(d, panels.u + at), dyg = hn::Load(d, panels.dyg + at);
    const Vec through_B = hn::Load(d, panels.through_B + at);
    const Vec through_A = hn::Mul(ln2, hn::Load(d, panels.through_A + at));
    const Vec ds = hn::MulAdd(u, through_B, through_A);
    const Vec ddt = hn::Mul(ds, hn::Load(d, panels.slope + at));
    const Vec du = hn::MulAdd(hn::Load(d, panels.s + at), through_B, hn::Mul(skip, dyg));
    store_row(du, chunk.du, t, group);
    store_row(ddt, chunk.ddt, t, group);
    dD = hn::MulAdd(dyg, u, dD);
    ddt_bias = hn::Add(ddt, ddt_bias);
    if (chunk.dz.at == nullptr) continue;
    const Vec y = hn::Load(d, panels.y + at);
    store_row(hn::Mul(y, hn::Load(d, panels.dgate + at)), chunk.dz, t, group);
  }
  add_to(dD, chunk.dD + group.first);
  add_to(ddt_bias, chunk.ddt_bias + group.first);
}

void backward_chunk(const SelectiveBackwardChunk& chunk) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Tag()));
  BackwardPanels panels;
  for (int64_t lane = 0; lane < chunk.in.channels; lane += lanes) {
    const ChannelGroup group = lanes_from(lane, chunk.in.channels);
    prepare(chunk, group, panels);
    for_each_bundle<kBackwardStates>(chunk.in.state, [&](auto count, int64_t n) {
      states_again<count()>(chunk, n, group, panels);
      states_back<count()>(chunk, n, lane, panels);
    });
    finish(chunk, group, panels);
  }
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(backward_chunk);

void selective_backward_chunk(const SelectiveBackwardChunk& chunk) {
  HWY_DYNAMIC_DISPATCH(backward_chunk)(chunk);
}

}  // namespace longwave::ops
#endif
