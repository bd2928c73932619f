// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_blocks.h"
#include "longwave/ops/lti_scan/lti_tiling.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/lti_scan/lti_blocks_cpu.cc"
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

template <int kModes, Pass kPass>
void forward_modes(const LtiForwardBlock& block, int64_t mode, int64_t lane) {
  const D d;
  V a_re[kModes], a_im[kModes], c_re[kModes], c_im[kModes], h_re[kModes], h_im[kModes];
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* h = block.h + mode * 2 * kRow + lane;
  for (int k = 0; k < kModes; ++k) {
    a_re[k] = hn::Load(d, factors + (4 * k + 0) * kRow);
    a_im[k] = hn::Load(d, factors + (4 * k + 1) * kRow);
    c_re[k] = hn::Load(d, factors + (4 * k + 2) * kRow);
    c_im[k] = hn::Load(d, factors + (4 * k + 3) * kRow);
    h_re[k] = hn::Load(d, h + (2 * k + 0) * kRow);
    h_im[k] = hn::Load(d, h + (2 * k + 1) * kRow);
  }
  const float* u_row = block.u + lane;
  float* y_row = block.y + lane;
  for (int64_t t = 0; t < block.time; ++t, u_row += kRow, y_row += kRow) {
    const V u = hn::Load(d, u_row);
    V y;
    if constexpr (kPass == Pass::kFirst) {
      y = hn::Mul(hn::Load(d, block.d + lane), u);
    } else {
      y = hn::Load(d, y_row);
    }
    for (int k = 0; k < kModes; ++k) {
      const V next = hn::NegMulAdd(a_im[k], h_im[k], hn::MulAdd(a_re[k], h_re[k], u));
      h_im[k] = hn::MulAdd(a_re[k], h_im[k], hn::Mul(a_im[k], h_re[k]));
      h_re[k] = next;
      y = hn::NegMulAdd(c_im[k], h_im[k], hn::MulAdd(c_re[k], h_re[k], y));
    }
    hn::Store(y, d, y_row);
  }
  for (int k = 0; k < kModes; ++k) {
    hn::Store(h_re[k], d, h + (2 * k + 0) * kRow);
    hn::Store(h_im[k], d, h + (2 * k + 1) * kRow);
  }
}

// Runs `first` or `later` on groups of kModes modes, then on single ones.
template <int kModes, typename Run>
void for_each_modes(int64_t modes, Run run) {
  int64_t mode = 0;
  for (; mode + kModes <= modes; mode += kModes) {
    run(std::integral_constant<int, kModes>(), mode);
  }
  for (; mode < modes; ++mode) run(std::integral_constant<int, 1>(), mode);
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
  for_each_modes<kForwardModes>(block.modes, [&](auto count, int64_t mode) {
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

template <int kModes>
void sums_modes(const LtiSumsBlock& block, int64_t mode, int64_t lane) {
  const D d;
  V a_re[kModes], a_im[kModes], h_re[kModes], h_im[kModes], s_re[kModes], s_im[kModes];
  V dh_re[kModes], dh_im[kModes], ds_re[kModes], ds_im[kModes];
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* hs = block.hs + mode * 4 * kRow + lane;
  for (int k = 0; k < kModes; ++k) {
    a_re[k] = hn::Load(d, factors + (4 * k + 0) * kRow);
    a_im[k] = hn::Load(d, factors + (4 * k + 1) * kRow);
    h_re[k] = hn::Load(d, hs + (4 * k + 0) * kRow);
    h_im[k] = hn::Load(d, hs + (4 * k + 1) * kRow);
    s_re[k] = hn::Load(d, hs + (4 * k + 2) * kRow);
    s_im[k] = hn::Load(d, hs + (4 * k + 3) * kRow);
    dh_re[k] = dh_im[k] = ds_re[k] = ds_im[k] = hn::Zero(d);
  }
  const float* u_row = block.u + lane;
  const float* dy_row = block.dy + lane;
  for (int64_t t = 0; t < block.time; ++t, u_row += kRow, dy_row += kRow) {
    const V u = hn::Load(d, u_row);
    const V dy = hn::Load(d, dy_row);
    for (int k = 0; k < kModes; ++k) {
      const V s_next = hn::NegMulAdd(a_im[k], s_im[k], hn::MulAdd(a_re[k], s_re[k], h_re[k]));
      s_im[k] = hn::MulAdd(a_re[k], s_im[k], hn::MulAdd(a_im[k], s_re[k], h_im[k]));
      s_re[k] = s_next;
      const V h_next = hn::NegMulAdd(a_im[k], h_im[k], hn::MulAdd(a_re[k], h_re[k], u));
      h_im[k] = hn::MulAdd(a_re[k], h_im[k], hn::Mul(a_im[k], h_re[k]));
      h_re[k] = h_next;
      dh_re[k] = hn::MulAdd(dy, h_re[k], dh_re[k]);
      dh_im[k] = hn::MulAdd(dy, h_im[k], dh_im[k]);
      ds_re[k] = hn::MulAdd(dy, s_re[k], ds_re[k]);
      ds_im[k] = hn::MulAdd(dy, s_im[k], ds_im[k]);
    }
  }
  double* sums = block.sums + mode * 4 * kRow + lane;
  for (int k = 0; k < kModes; ++k) {
    hn::Store(h_re[k], d, hs + (4 * k + 0) * kRow);
    hn::Store(h_im[k], d, hs + (4 * k + 1) * kRow);
    hn::Store(s_re[k], d, hs + (4 * k + 2) * kRow);
    hn::Store(s_im[k], d, hs + (4 * k + 3) * kRow);
    add_to(dh_re[k], sums + (4 * k + 0) * kRow);
    add_to(dh_im[k], sums + (4 * k + 1) * kRow);
    add_to(ds_re[k], sums + (4 * k + 2) * kRow);
    add_to(ds_im[k], sums + (4 * k + 3) * kRow);
  }
}

void sums_block(const LtiSumsBlock& block) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t lane = 0; lane < kRow; lane += lanes) {
    V sum = hn::Zero(d);
    for (int64_t t = 0; t < block.time; ++t) {
      sum = hn::MulAdd(hn::Load(d, block.dy + t * kRow + lane),
                       hn::Load(d, block.u + t * kRow + lane), sum);
    }
    add_to(sum, block.dd + lane);
  }
  for_each_modes<kSumsModes>(block.modes, [&](auto count, int64_t mode) {
    for (int64_t lane = 0; lane < kRow; lane += lanes) sums_modes<count()>(block, mode, lane);
  });
}

template <int kModes, Pass kPass>
void adjoint_modes(const LtiAdjointBlock& block, int64_t mode, int64_t lane) {
  const D d;
  V a_re[kModes], a_im[kModes], c_re[kModes], c_im[kModes], g_re[kModes], g_im[kModes];
  const float* factors = block.factors + mode * 4 * kRow + lane;
  float* g = block.g + mode * 2 * kRow + lane;
  for (int k = 0; k < kModes; ++k) {
    a_re[k] = hn::Load(d, factors + (4 * k + 0) * kRow);
    a_im[k] = hn::Load(d, factors + (4 * k + 1) * kRow);
    c_re[k] = hn::Load(d, factors + (4 * k + 2) * kRow);
    c_im[k] = hn::Load(d, factors + (4 * k + 3) * kRow);
    g_re[k] = hn::Load(d, g + (2 * k + 0) * kRow);
    g_im[k] = hn::Load(d, g + (2 * k + 1) * kRow);
  }
  const float* dy_row = block.dy + (block.time - 1) * kRow + lane;
  float* du_row = block.du + (block.time - 1) * kRow + lane;
  for (int64_t t = 0; t < block.time; ++t, dy_row -= kRow, du_row -= kRow) {
    const V dy = hn::Load(d, dy_row);
    V du;
    if constexpr (kPass == Pass::kFirst) {
      du = hn::Mul(hn::Load(d, block.d + lane), dy);
    } else {
      du = hn::Load(d, du_row);
    }
    for (int k = 0; k < kModes; ++k) {
      // g is conj(a) g[t+1] here and takes in conj(c) dy[t] first.
      const V re = hn::MulAdd(c_re[k], dy, g_re[k]);
      const V im = hn::NegMulAdd(c_im[k], dy, g_im[k]);
      du = hn::Add(du, re);
      g_re[k] = hn::MulAdd(a_re[k], re, hn::Mul(a_im[k], im));
      g_im[k] = hn::NegMulAdd(a_im[k], re, hn::Mul(a_re[k], im));
    }
    hn::Store(du, d, du_row);
  }
  for (int k = 0; k < kModes; ++k) {
    hn::Store(g_re[k], d, g + (2 * k + 0) * kRow);
    hn::Store(g_im[k], d, g + (2 * k + 1) * kRow);
  }
}

void adjoint_block(const LtiAdjointBlock& block) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  if (block.modes == 0) scale_rows(block.d, block.dy, block.time, block.du);
  for_each_modes<kAdjointModes>(block.modes, [&](auto count, int64_t mode) {
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
