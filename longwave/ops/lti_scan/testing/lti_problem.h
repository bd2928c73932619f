// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/ops/testing/draw.h"

namespace longwave::ops::testing {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

struct LtiSize {
  int64_t batch, time, channels, modes;
};

/// One of each kind of tile: whole and partial groups, rows side by side, modes over lanes; lengths
/// around the block of 256 steps; extents of 0 and 1.
inline constexpr std::array<LtiSize, 16> kLtiSizes = {{{1, 1, 1, 1},
                                                       {2, 7, 3, 2},
                                                       {1, 300, 1, 32},
                                                       {1, 513, 2, 7},
                                                       {5, 40, 1, 5},
                                                       {3, 257, 16, 4},
                                                       {2, 256, 17, 6},
                                                       {1, 255, 37, 9},
                                                       {9, 19, 7, 3},
                                                       {40, 30, 1, 2},
                                                       {33, 6, 3, 1},
                                                       {1, 600, 48, 2},
                                                       {2, 0, 5, 3},
                                                       {2, 9, 0, 3},
                                                       {0, 9, 4, 3},
                                                       {2, 9, 4, 0}}};

inline std::string name(const LtiSize& size) {
  return "batch " + std::to_string(size.batch) + " time " + std::to_string(size.time) +
         " channels " + std::to_string(size.channels) + " modes " + std::to_string(size.modes);
}

/// Operands of a scan and its gradient in one place; outputs start as NaN.
template <typename T>
struct LtiProblem {
  using Complex = std::complex<T>;

  LtiProblem(const LtiSize& size, uint64_t seed) : size(size) {
    Random random(seed);
    const int64_t signal = size.batch * size.time * size.channels;
    const int64_t factor = size.channels * size.modes;
    const int64_t state = size.batch * size.channels * size.modes;
    const auto real = [&] { return static_cast<T>(float(random.normal())); };
    u = longwave::testing::drawn(signal, real);
    dy = longwave::testing::drawn(signal, real);
    for (int64_t i = 0; i < factor; ++i) {
      // Radii up to 0.98, so that the error bound needs no large factor.
      const auto pole = std::polar(random.uniform(0.3, 0.98), random.uniform(-3.1, 3.1));
      a.push_back(Complex(std::complex<float>(pole)));
      c.push_back(draw(random));
    }
    d = longwave::testing::drawn(size.channels, real);
    for (int64_t i = 0; i < state; ++i) h.push_back(draw(random));
    for (int64_t i = 0; i < state; ++i) dh.push_back(draw(random));
    poison();
  }

  static Complex draw(Random& random) {
    const double re = random.normal();
    return Complex(std::complex<float>(std::complex<double>(re, random.normal())));
  }

  void poison() {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    y.assign(u.size(), nan);
    du.assign(u.size(), nan);
    dd.assign(d.size(), nan);
    da.assign(a.size(), Complex(nan, nan));
    dc = da;
    dh0.assign(h.size(), Complex(nan, nan));
  }

  LtiScanArgs<T> args() {
    const auto [batch, time, channels, modes] = size;
    return {.u = {u.data(), {batch, time, channels}},
            .a = {a.data(), {channels, modes}},
            .c = {c.data(), {channels, modes}},
            .d = {d.data(), {channels}},
            .h = {h.data(), {batch, channels, modes}},
            .y = {y.data(), {batch, time, channels}}};
  }

  LtiScanGradArgs<T> grad_args() {
    const auto [batch, time, channels, modes] = size;
    return {.u = {u.data(), {batch, time, channels}},
            .a = {a.data(), {channels, modes}},
            .c = {c.data(), {channels, modes}},
            .d = {d.data(), {channels}},
            .h0 = {h.data(), {batch, channels, modes}},
            .dy = {dy.data(), {batch, time, channels}},
            .dh = {dh.data(), {batch, channels, modes}},
            .du = {du.data(), {batch, time, channels}},
            .da = {da.data(), {channels, modes}},
            .dc = {dc.data(), {channels, modes}},
            .dd = {dd.data(), {channels}},
            .dh0 = {dh0.data(), {batch, channels, modes}}};
  }

  void forward() { run(args()); }
  void run(const LtiScanArgs<T>& args) {
    Workspace workspace(lti_scan_workspace_bytes(size.batch, size.channels, size.modes));
    lti_scan(args, workspace);
  }
  void backward() {
    Workspace workspace(lti_scan_backward_workspace_bytes(size.batch, size.channels, size.modes));
    lti_scan_backward(grad_args(), workspace);
  }

  LtiSize size;
  std::vector<T> u, d, y, dy, du, dd;
  std::vector<Complex> a, c, h, dh, da, dc, dh0;
};

/// What rounding may do to a sum over modes of states that each collect about 1 / (1 - |a|) inputs.
template <typename T>
Tolerance output_bound(const LtiSize& size) {
  return Tolerance::sum<T>(size.modes * 50 + 1, 50);
}

template <typename A, typename B>
void compare(Worst& worst, const std::vector<A>& expected, const std::vector<B>& got,
             Tolerance bound) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
}

}  // namespace longwave::ops::testing
