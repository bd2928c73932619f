// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_ref.h"
#include "longwave/ops/testing/draw.h"

namespace longwave::ops::testing {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// Which optional operands a problem has.
struct SsdOptions {
  int64_t skips = 1;  ///< extent of D: 0 for none, 1 a head, or head_dim
  bool bias = true;
  bool starts = false;
  bool limits = false;
};

/// What a problem is made of.
struct SsdCase {
  SsdSize size;
  SsdOptions options;
};

/// Whole and partial vectors and tiles in every extent, lengths around the chunk and of many of
/// them, groups of one head and of all; extents of 0 and 1.
inline const std::array<SsdCase, 18> kSsdCases = {{
    {{1, 1, 1, 1, 1, 1}, {}},
    {{2, 1, 4, 5, 2, 7}, {.skips = 2, .starts = true}},
    {{2, 7, 3, 2, 1, 5}, {.skips = 0, .bias = false}},
    {{1, 64, 2, 16, 1, 16}, {}},
    {{2, 65, 4, 64, 2, 32}, {.skips = 2}},
    {{1, 63, 2, 33, 2, 17}, {.limits = true}},
    {{1, 300, 2, 64, 1, 128}, {}},
    {{2, 200, 6, 24, 3, 40}, {.skips = 2, .starts = true, .limits = true}},
    {{3, 129, 3, 8, 3, 1}, {.starts = true}},
    {{1, 192, 1, 1, 1, 64}, {.bias = false, .starts = true}},
    {{1, 513, 2, 3, 1, 9}, {.skips = 0, .starts = true}},
    {{2, 2500, 2, 3, 1, 9}, {}},
    {{1, 2500, 2, 3, 1, 9}, {.starts = true}},
    {{0, 9, 4, 3, 2, 4}, {}},
    {{2, 0, 4, 3, 2, 4}, {.starts = true}},
    {{2, 9, 0, 3, 0, 4}, {}},
    {{2, 70, 4, 0, 2, 4}, {}},
    {{2, 70, 4, 3, 2, 0}, {}},
}};

inline std::string name(const SsdSize& s) {
  return fmt::format("batch {} time {} heads {} head_dim {} groups {} state {}", s.batch, s.time,
                     s.heads, s.head_dim, s.groups, s.state);
}

/// True if nothing at all comes out of the scan.
inline bool empty(const SsdSize& size) { return size.batch * size.heads * size.head_dim == 0; }

inline bool same_bits(const std::vector<float>& x, const std::vector<float>& y) {
  return x.size() == y.size() &&
         (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
}

/// Operands of a scan and its gradient in one place; outputs start as NaN.
template <typename T>
struct SsdProblem {
  SsdProblem(const SsdSize& size, const SsdOptions& options, uint64_t seed) : size(size) {
    Random random(seed);
    const int64_t steps = size.batch * size.time, rows = size.heads * size.head_dim;
    const auto draw = [&](std::vector<T>& to, int64_t count, double scale, double shift) {
      to = longwave::testing::drawn(count,
                                    [&] { return T(float(scale * random.normal() + shift)); });
    };
    draw(x, steps * rows, 1, 0);
    draw(dt, steps * size.heads, 1, -2);
    for (int64_t i = 0; i < size.heads; ++i) A.push_back(float(-random.uniform(0.05, 4)));
    draw(B, steps * size.groups * size.state, 1, 0);
    draw(C, steps * size.groups * size.state, 1, 0);
    skips = options.skips > 1 ? size.head_dim : options.skips;
    draw(D, size.heads * skips, 1, 0);
    if (options.bias) draw(dt_bias, size.heads, 0.5, 0);
    if (options.starts) {
      // Both short sequences and, in long problems, some over many chunks.
      const double share = size.time > 1000 ? 0.003 : 0.03;
      for (int64_t i = 0; i < steps; ++i) starts.push_back(random.uniform() < share ? 1 : 0);
    }
    // About a third of the step sizes lies outside.
    if (options.limits) limits = {T(0.07f), T(0.2f)};
    draw(h, size.batch * rows * size.state, 1, 0);
    draw(dy, steps * rows, 1, 0);
    draw(dh, size.batch * rows * size.state, 1, 0);
    poison();
  }

  void poison() {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    for (auto [to, from] : {std::pair{&y, &x},
                            {&dx, &x},
                            {&ddt, &dt},
                            {&dA, &A},
                            {&dB, &B},
                            {&dC, &C},
                            {&dD, &D},
                            {&ddt_bias, &dt_bias},
                            {&dh0, &h}}) {
      to->assign(from->size(), nan);
    }
  }

  SsdArgs<T> args() {
    const auto [batch, time, heads, head_dim, groups, state] = size;
    return {.x = {x.data(), {batch, time, heads, head_dim}},
            .dt = {dt.data(), {batch, time, heads}},
            .A = {A.data(), {heads}},
            .B = {B.data(), {batch, time, groups, state}},
            .C = {C.data(), {batch, time, groups, state}},
            .D = {D.data(), {heads, skips}},
            .dt_bias = {dt_bias.data(), {heads}},
            .starts = {starts.data(), {batch, time}},
            .limits = limits,
            .h = {h.data(), {batch, heads, head_dim, state}},
            .y = {y.data(), {batch, time, heads, head_dim}}};
  }

  SsdGradArgs<T> grad_args() {
    const auto [batch, time, heads, head_dim, groups, state] = size;
    const SsdArgs<T> in = args();
    return {.x = in.x,
            .dt = in.dt,
            .A = in.A,
            .B = in.B,
            .C = in.C,
            .D = in.D,
            .dt_bias = in.dt_bias,
            .starts = in.starts,
            .limits = limits,
            .h0 = in.h,
            .dy = {dy.data(), {batch, time, heads, head_dim}},
            .dh = {dh.data(), {batch, heads, head_dim, state}},
            .dx = {dx.data(), {batch, time, heads, head_dim}},
            .ddt = {ddt.data(), {batch, time, heads}},
            .dA = {dA.data(), {heads}},
            .dB = {dB.data(), {batch, time, groups, state}},
            .dC = {dC.data(), {batch, time, groups, state}},
            .dD = {dD.data(), {heads, skips}},
            .ddt_bias = {ddt_bias.data(), {heads}},
            .dh0 = {dh0.data(), {batch, heads, head_dim, state}}};
  }

  void forward() {
    Workspace workspace(ssd_workspace_bytes(size));
    ssd(args(), workspace);
  }
  void backward() {
    Workspace workspace(ssd_backward_workspace_bytes(size));
    ssd_backward(grad_args(), workspace);
  }

  /// All operands that enter linearly replaced by their sizes: then each output is the sum of the
  /// sizes of the terms that it is a sum of.
  void make_positive() {
    for (auto* operand : {&x, &B, &C, &D, &h, &dy, &dh}) {
      for (T& value : *operand) value = std::abs(value);
    }
  }

  SsdSize size;
  int64_t skips = 0;
  SsdLimits<T> limits;
  std::vector<uint8_t> starts;
  std::vector<T> x, dt, A, B, C, D, dt_bias, h, y;
  std::vector<T> dy, dh, dx, ddt, dA, dB, dC, dD, ddt_bias, dh0;
};

/// What rounding may do to a sum whose terms' sizes add up to `magnitude`: each term is a product
/// with decays, whose exponents of up to about 16 make their relative error so many units.
inline Tolerance ssd_bound(double magnitude) { return Tolerance::sum<float>(16, magnitude); }

/// Compares element by element; `magnitude` holds the sums of the sizes of the terms.
template <typename Got>
void compare_sums(Worst& worst, const std::vector<double>& expected, const std::vector<Got>& got,
                  const std::vector<double>& magnitude) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], ssd_bound(magnitude[i]));
  }
}

/// The sizes of the terms of ddt, summed, from a positive problem after its backward pass. There
/// ddt is s (xi - m), where s is the sigmoid, xi what dx also holds and m the part of the decay; so
/// s (xi + m) = 2 s xi - ddt. Where the limits hold, both are 0.
inline std::vector<double> step_magnitude(SsdProblem<double>& positive) {
  const SsdGradArgs<double> args = positive.grad_args();
  std::vector<double> result(positive.ddt.size());
  View<double, 3> out(result.data(), args.ddt.extents());
  for (int64_t b = 0; b < args.x.extent(0); ++b) {
    for (int64_t t = 0; t < args.x.extent(1); ++t) {
      for (int64_t i = 0; i < args.x.extent(2); ++i) {
        double xi = 0;
        for (int64_t p = 0; p < args.x.extent(3); ++p) {
          const double skip = args.D.absent() ? 0 : ssd_skip(args.D, i, p) * args.dy(b, t, i, p);
          xi += args.x(b, t, i, p) * (args.dx(b, t, i, p) - skip);
        }
        const double sigmoid = 1 / (1 + std::exp(-ssd_raw_step<double>(args, b, t, i)));
        out(b, t, i) =
            2 * xi * sigmoid / ssd_step_size<double>(args, b, t, i) + std::abs(args.ddt(b, t, i));
      }
    }
  }
  return result;
}

}  // namespace longwave::ops::testing
