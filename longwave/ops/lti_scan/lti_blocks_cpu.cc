// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_blocks.h"
#include "longwave/ops/lti_scan/lti_tiling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/lti_scan/lti_blocks_cpu.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, LtiTiling::kLanes>;
using V = hn::Vec<D>;

constexpr int64_t kRow = LtiTiling::kLanes;

// The first pass over a block's modes writes the output, later passes add to it.
enum class Pass { kFirst, kLater };

// Modes that are held in registers at once: as many as fit without spilling.
constexpr int kForwardModes = HWY_MAX_BYTES >= 64 ? 4 : 2;
constexpr int kSumsModes = HWY_MAX_BYTES >= 64 ? 2 : 1;
constexpr int kAdjointModes = HWY_MAX_BYTES >= 64 ? 4 : 2;

// kCount modes in registers. Members rather than an array, which the compiler would keep in memory.
template <class Mode, int kCount>
struct Bundle {
  template <class Body>
  HWY_INLINE void each(const Body& body, int k = 0) {
    body(first, k);
    rest.each(body, k + 1);
  }

  Mode first;
  Bundle<Mode, kCount - 1> rest;
};
template <class Mode>
struct Bundle<Mode, 0> {
  template <class Body>
  HWY_INLINE void each(const Body&, int) {}
};

struct ForwardMode {
  HWY_INLINE void load(const float* factors, const float* h) {
    const D d;
    a_re = hn::Load(d, factors + 0 * kRow);
    a_im = hn::Load(d, factors + 1 * kRow);
    c_re = hn::Load(d, factors + 2 * kRow);
    c_im = hn::Load(d, factors + 3 * kRow);
    h_re = hn::Load(d, h + 0 * kRow);
    h_im = hn::Load(d, h + 1 * kRow);
  }
  // Real and imaginary parts go into sums of their own: one chain would be too long.
  HWY_INLINE void step(V u, V& y, V& minus) {
    const V next = hn::NegMulAdd(a_im, h_im, hn::MulAdd(a_re, h_re, u));
    h_im = hn::MulAdd(a_re, h_im, hn::Mul(a_im, h_re));
    h_re = next;
    y = hn::MulAdd(c_re, h_re, y);
    minus = hn::MulAdd(c_im, h_im, minus);
  }
  HWY_INLINE void store(float* h) const {
    const D d;
    hn::Store(h_re, d, h + 0 * kRow);
    hn::Store(h_im, d, h + 1 * kRow);
  }

  V a_re, a_im, c_re, c_im, h_re, h_im;
};

// Fetches row `t` of what is wanted soon.
HWY_INLINE void fetch_soon(const LtiBlock& block, int64_t t) {
  for (const SoonRows& rows : block.soon) {
    if (t < rows.count) hwy::Prefetch(rows.row + t * rows.step);
  }
}

template <int kModes, Pass kPass>
void forward_modes(const LtiForwardBlock& block, int64_t mode, int64_t lane) {
  const D d;
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* h = block.h + mode * 2 * kRow + lane;
  Bundle<ForwardMode, kModes> modes;
  modes.each([&](ForwardMode & m, int k) __attribute__((always_inline)) {
    m.load(factors + k * 4 * kRow, h + k * 2 * kRow);
  });
  const V skip = hn::Load(d, block.d + lane);
  const float* u_row = block.u + lane;
  float* y_row = block.y + lane;
  for (int64_t t = 0; t < block.time; ++t, u_row += kRow, y_row += kRow) {
    if constexpr (kPass == Pass::kFirst) fetch_soon(block, t);
    const V u = hn::Load(d, u_row);
    V y = kPass == Pass::kFirst ? hn::Mul(skip, u) : hn::Load(d, y_row);
    V minus = hn::Zero(d);
    modes.each([&](ForwardMode & m, int) __attribute__((always_inline)) { m.step(u, y, minus); });
    hn::Store(hn::Sub(y, minus), d, y_row);
  }
  modes.each([&](ForwardMode & m, int k)
                 __attribute__((always_inline)) { m.store(h + k * 2 * kRow); });
}

// Covers the modes by bundles of kModes, then by ever smaller ones: `run(count, first mode)`.
template <int kModes, typename Run>
void for_each_bundle(int64_t modes, const Run& run, int64_t mode = 0) {
  for (; mode + kModes <= modes; mode += kModes) {
    run(std::integral_constant<int, kModes>(), mode);
  }
  if constexpr (kModes > 1) for_each_bundle<kModes / 2>(modes, run, mode);
}

// y = d u: what a block without modes gives, and what the first pass starts from.
void scale_rows(const float* scale, const float* from, int64_t time, float* to) {
  const D d;
  for (int64_t i = 0; i < time * kRow; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::Store(hn::Mul(hn::Load(d, scale + i % kRow), hn::Load(d, from + i)), d, to + i);
  }
}

void forward_block(const LtiForwardBlock& block) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  if (block.modes == 0) scale_rows(block.d, block.u, block.time, block.y);
  for_each_bundle<kForwardModes>(block.modes, [&](auto count, int64_t mode) {
    for (int64_t lane = 0; lane < kRow; lane += lanes) {
      if (mode == 0) {
        forward_modes<count(), Pass::kFirst>(block, mode, lane);
      } else {
        forward_modes<count(), Pass::kLater>(block, mode, lane);
      }
    }
  });
}

// Adds a float vector to lanes [lane, lane + Lanes) of a row of doubles.
void add_to(V value, double* row) {
  const D d;
  HWY_ALIGN float lanes[LtiTiling::kLanes];
  hn::Store(value, d, lanes);
  for (size_t i = 0; i < hn::Lanes(d); ++i) row[i] += static_cast<double>(lanes[i]);
}

struct SumsMode {
  HWY_INLINE void load(const float* factors, const float* hs) {
    const D d;
    a_re = hn::Load(d, factors + 0 * kRow);
    a_im = hn::Load(d, factors + 1 * kRow);
    h_re = hn::Load(d, hs + 0 * kRow);
    h_im = hn::Load(d, hs + 1 * kRow);
    s_re = hn::Load(d, hs + 2 * kRow);
    s_im = hn::Load(d, hs + 3 * kRow);
    dy_h_re = dy_h_im = dy_s_re = dy_s_im = hn::Zero(d);
  }
  HWY_INLINE void step(V u, V dy) {
    const V s_next = hn::NegMulAdd(a_im, s_im, hn::MulAdd(a_re, s_re, h_re));
    s_im = hn::MulAdd(a_re, s_im, hn::MulAdd(a_im, s_re, h_im));
    s_re = s_next;
    const V h_next = hn::NegMulAdd(a_im, h_im, hn::MulAdd(a_re, h_re, u));
    h_im = hn::MulAdd(a_re, h_im, hn::Mul(a_im, h_re));
    h_re = h_next;
    dy_h_re = hn::MulAdd(dy, h_re, dy_h_re);
    dy_h_im = hn::MulAdd(dy, h_im, dy_h_im);
    dy_s_re = hn::MulAdd(dy, s_re, dy_s_re);
    dy_s_im = hn::MulAdd(dy, s_im, dy_s_im);
  }
  HWY_INLINE void store(float* hs, double* sums) const {
    const D d;
    hn::Store(h_re, d, hs + 0 * kRow);
    hn::Store(h_im, d, hs + 1 * kRow);
    hn::Store(s_re, d, hs + 2 * kRow);
    hn::Store(s_im, d, hs + 3 * kRow);
    add_to(dy_h_re, sums + 0 * kRow);
    add_to(dy_h_im, sums + 1 * kRow);
    add_to(dy_s_re, sums + 2 * kRow);
    add_to(dy_s_im, sums + 3 * kRow);
  }

  V a_re, a_im, h_re, h_im, s_re, s_im;
  V dy_h_re, dy_h_im, dy_s_re, dy_s_im;
};

template <int kModes>
void sums_modes(const LtiSumsBlock& block, int64_t mode, int64_t lane) {
  const D d;
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* hs = block.hs + mode * 4 * kRow + lane;
  double* sums = block.sums + mode * 4 * kRow + lane;
  Bundle<SumsMode, kModes> modes;
  modes.each([&](SumsMode & m, int k) __attribute__((always_inline)) {
    m.load(factors + k * 4 * kRow, hs + k * 4 * kRow);
  });
  const float* u_row = block.u + lane;
  const float* dy_row = block.dy + lane;
  for (int64_t t = 0; t < block.time; ++t, u_row += kRow, dy_row += kRow) {
    const V u = hn::Load(d, u_row);
    const V dy = hn::Load(d, dy_row);
    modes.each([&](SumsMode & m, int) __attribute__((always_inline)) { m.step(u, dy); });
  }
  modes.each([&](SumsMode & m, int k) __attribute__((always_inline)) {
    m.store(hs + k * 4 * kRow, sums + k * 4 * kRow);
  });
}

void sums_block(const LtiSumsBlock& block) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t lane = 0; lane < kRow; lane += lanes) {
    V sum = hn::Zero(d);
    for (int64_t t = 0; t < block.time; ++t) {
      fetch_soon(block, t);
      sum = hn::MulAdd(hn::Load(d, block.dy + t * kRow + lane),
                       hn::Load(d, block.u + t * kRow + lane), sum);
    }
    add_to(sum, block.dd + lane);
  }
  for_each_bundle<kSumsModes>(block.modes, [&](auto count, int64_t mode) {
    for (int64_t lane = 0; lane < kRow; lane += lanes) sums_modes<count()>(block, mode, lane);
  });
}

struct AdjointMode {
  HWY_INLINE void load(const float* factors, const float* g) {
    const D d;
    a_re = hn::Load(d, factors + 0 * kRow);
    a_im = hn::Load(d, factors + 1 * kRow);
    c_re = hn::Load(d, factors + 2 * kRow);
    c_im = hn::Load(d, factors + 3 * kRow);
    g_re = hn::Load(d, g + 0 * kRow);
    g_im = hn::Load(d, g + 1 * kRow);
  }
  // g is conj(a) g[t+1] before and conj(a) g[t] after.
  HWY_INLINE void step(V dy, V& du) {
    const V re = hn::MulAdd(c_re, dy, g_re);
    const V im = hn::NegMulAdd(c_im, dy, g_im);
    du = hn::Add(du, re);
    g_re = hn::MulAdd(a_re, re, hn::Mul(a_im, im));
    g_im = hn::NegMulAdd(a_im, re, hn::Mul(a_re, im));
  }
  HWY_INLINE void store(float* g) const {
    const D d;
    hn::Store(g_re, d, g + 0 * kRow);
    hn::Store(g_im, d, g + 1 * kRow);
  }

  V a_re, a_im, c_re, c_im, g_re, g_im;
};

template <int kModes, Pass kPass>
void adjoint_modes(const LtiAdjointBlock& block, int64_t mode, int64_t lane) {
  const D d;
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* g = block.g + mode * 2 * kRow + lane;
  Bundle<AdjointMode, kModes> modes;
  modes.each([&](AdjointMode & m, int k) __attribute__((always_inline)) {
    m.load(factors + k * 4 * kRow, g + k * 2 * kRow);
  });
  const V skip = hn::Load(d, block.d + lane);
  const float* dy_row = block.dy + (block.time - 1) * kRow + lane;
  float* du_row = block.du + (block.time - 1) * kRow + lane;
  for (int64_t t = 0; t < block.time; ++t, dy_row -= kRow, du_row -= kRow) {
    if constexpr (kPass == Pass::kFirst) fetch_soon(block, t);
    const V dy = hn::Load(d, dy_row);
    V du = kPass == Pass::kFirst ? hn::Mul(skip, dy) : hn::Load(d, du_row);
    modes.each([&](AdjointMode & m, int) __attribute__((always_inline)) { m.step(dy, du); });
    hn::Store(du, d, du_row);
  }
  modes.each([&](AdjointMode & m, int k)
                 __attribute__((always_inline)) { m.store(g + k * 2 * kRow); });
}

void adjoint_block(const LtiAdjointBlock& block) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  if (block.modes == 0) scale_rows(block.d, block.dy, block.time, block.du);
  for_each_bundle<kAdjointModes>(block.modes, [&](auto count, int64_t mode) {
    for (int64_t lane = 0; lane < kRow; lane += lanes) {
      if (mode == 0) {
        adjoint_modes<count(), Pass::kFirst>(block, mode, lane);
      } else {
        adjoint_modes<count(), Pass::kLater>(block, mode, lane);
      }
    }
  });
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(forward_block);
HWY_EXPORT(sums_block);
HWY_EXPORT(adjoint_block);

void lti_forward_block(const LtiForwardBlock& block) { HWY_DYNAMIC_DISPATCH(forward_block)(block); }
void lti_sums_block(const LtiSumsBlock& block) { HWY_DYNAMIC_DISPATCH(sums_block)(block); }
void lti_adjoint_block(const LtiAdjointBlock& block) { HWY_DYNAMIC_DISPATCH(adjoint_block)(block); }

}  // namespace longwave::ops
#endif
