// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <complex>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/testing/draw.h"

namespace longwave::ops::testing {

/// Extents of a scan.
struct LinearSize {
  int64_t batch, time, channels;
};

/// Widths that take every kind of vector, lengths around the 256 steps of a sum, extents of 0
/// and 1.
inline constexpr std::array<LinearSize, 12> kLinearSizes = {{{1, 1, 1},
                                                             {2, 7, 3},
                                                             {1, 300, 16},
                                                             {3, 257, 31},
                                                             {2, 256, 64},
                                                             {1, 513, 130},
                                                             {5, 20, 67},
                                                             {4, 9, 200},
                                                             {1, 600, 2},
                                                             {2, 0, 5},
                                                             {2, 5, 0},
                                                             {0, 5, 3}}};

/// Which extents of a are 1.
struct Sharing {
  int64_t rows, steps;  // 1 or 0 for all
};
inline constexpr std::array<Sharing, 4> kSharings = {{{0, 0}, {1, 0}, {0, 1}, {1, 1}}};

inline std::string name(const LinearSize& size, const Sharing& sharing) {
  return "batch " + std::to_string(size.batch) + " time " + std::to_string(size.time) +
         " channels " + std::to_string(size.channels) + (sharing.rows ? " a for all rows" : "") +
         (sharing.steps ? " a for all steps" : "");
}

template <typename T>
T number(double re, double im) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(static_cast<float>(re));
  } else {
    return T(static_cast<float>(re), static_cast<float>(im));
  }
}

/// Operands of a scan and its gradient in one place; outputs start as NaN.
template <typename T>
struct LinearProblem {
  LinearProblem(const LinearSize& extents, const Sharing& sharing, uint64_t seed)
      : size(extents),
        rows(sharing.rows ? 1 : extents.batch),
        steps(sharing.steps ? 1 : extents.time) {
    Random random(seed);
    a = longwave::testing::drawn(rows * steps * size.channels, [&] {
      const auto pole = std::polar(random.uniform(0.3, 0.98), random.uniform(-3.1, 3.1));
      return number<T>(pole.real(), pole.imag());
    });
    const auto normal = [&] {
      const double re = random.normal();
      return number<T>(re, random.normal());
    };
    const int64_t lines = size.batch * size.channels;
    b = longwave::testing::drawn(lines * size.time, normal);
    dh = longwave::testing::drawn(lines * size.time, normal);
    h0 = longwave::testing::drawn(lines, normal);
    dfinal = longwave::testing::drawn(lines, normal);
    const T nan = number<T>(std::numeric_limits<float>::quiet_NaN(), 0);
    h.assign(b.size(), nan);
    db.assign(b.size(), nan);
    da.assign(a.size(), nan);
    final.assign(h0.size(), nan);
    dh0.assign(h0.size(), nan);
  }

  LinearScanArgs<T> args() {
    const auto [batch, time, channels] = size;
    return {.a = {a.data(), {rows, steps, channels}},
            .b = {b.data(), {batch, time, channels}},
            .h0 = {h0.data(), {batch, channels}},
            .h = {h.data(), {batch, time, channels}},
            .final = {final.data(), {batch, channels}}};
  }

  LinearScanGradArgs<T> grad_args() {
    const auto [batch, time, channels] = size;
    return {.a = {a.data(), {rows, steps, channels}},
            .h = {h.data(), {batch, time, channels}},
            .h0 = {h0.data(), {batch, channels}},
            .dh = {dh.data(), {batch, time, channels}},
            .dfinal = {dfinal.data(), {batch, channels}},
            .da = {da.data(), {rows, steps, channels}},
            .db = {db.data(), {batch, time, channels}},
            .dh0 = {dh0.data(), {batch, channels}}};
  }

  void run(const LinearScanGradArgs<T>& args) {
    Workspace workspace(linear_scan_backward_workspace_bytes(size.batch, size.channels));
    linear_scan_backward(args, workspace);
  }

  void both() {
    linear_scan(args());
    run(grad_args());
  }

  LinearSize size;
  int64_t rows, steps;
  std::vector<T> a, b, h0, h, final, dh, dfinal, da, db, dh0;
};

}  // namespace longwave::ops::testing
