// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

enum class GateIs : uint8_t { kThere, kAbsent };

struct Case {
  int64_t rows, channels, groups;
  GateOrder order;
  GateIs gate = GateIs::kThere;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    for (const GateIs gate : {GateIs::kThere, GateIs::kAbsent}) {
      for (const auto& [rows, channels, groups] : {std::array<int64_t, 3>{1, 1, 1},
                                                   {7, 33, 1},
                                                   {7, 33, 3},
                                                   {5, 64, 4},
                                                   {0, 8, 2},
                                                   {1, 17, 17},
                                                   {300, 96, 2},
                                                   {3, 1000, 8}}) {
        all.push_back({rows, channels, groups, order, gate});
      }
    }
  }
  return all;
}

/// Operands and results in type T, the same random numbers whatever T; x and z are two slices of
/// one matrix, as a projection gives them.
template <typename T>
struct NormRun {
  Case size;
  std::vector<T> xz, w, dy, y, inverse, dx, dz, dw;

  explicit NormRun(const Case& c) : size(c) {
    uint64_t stream = 0;
    const auto noise = [&](int64_t count) {
      Random random(1, ++stream);
      std::vector<T> numbers(count);
      for (T& number : numbers) number = static_cast<float>(random.normal());
      return numbers;
    };
    const int64_t count = c.rows * c.channels;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    xz = noise(2 * count);
    w = noise(c.channels);
    dy = noise(count);
    y.assign(count, nan);
    dx = dz = y;
    inverse.assign(c.rows * c.groups, nan);
    dw.assign(c.channels, nan);
    gated_norm(forward_args());
    Workspace workspace(gated_norm_backward_workspace_bytes(c.channels));
    gated_norm_backward(backward_args(), workspace);
  }

  View<T, 2> dense(std::vector<T>& data) { return {data.data(), {size.rows, size.channels}}; }
  View<const T, 2> slice(int64_t part) {
    return {xz.data() + part * size.channels, {size.rows, size.channels}, {2 * size.channels, 1}};
  }
  View<const T, 2> z() { return size.gate == GateIs::kThere ? slice(1) : View<const T, 2>(); }
  GatedNormArgs<T> forward_args() {
    // A little noise keeps single channels away from a mean square of nothing but epsilon.
    return {.order = size.order,
            .groups = size.groups,
            .epsilon = T(0.1),
            .x = slice(0),
            .z = z(),
            .w = {w.data(), {size.channels}},
            .y = dense(y),
            .inverse = {inverse.data(), {size.rows, size.groups}}};
  }
  GatedNormGradArgs<T> backward_args() {
    return {.order = size.order,
            .x = slice(0),
            .z = z(),
            .w = {w.data(), {size.channels}},
            .inverse = {inverse.data(), {size.rows, size.groups}},
            .dy = dense(dy),
            .dx = dense(dx),
            .dz = size.gate == GateIs::kThere ? dense(dz) : View<T, 2>(),
            .dw = {dw.data(), {size.channels}}};
  }
};

void compare(const char* what, const std::vector<double>& expected, const std::vector<float>& got,
             Tolerance bound) {
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  if (!got.empty()) {
    EXPECT_TRUE(worst.ok());
  }
}

TEST(GatedNorm, BackendsAgree) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(::testing::Message() << c.rows << " " << c.channels << " " << c.groups);
    const NormRun<float> fast(c);
    const NormRun<double> exact(c);
    // A value of a group reaches the root of its size in deviations; inverse at most 1/sqrt(0.1).
    const int64_t terms = c.channels / c.groups + 8;
    compare("y", exact.y, fast.y, Tolerance::sum<float>(terms, 50));
    compare("inverse", exact.inverse, fast.inverse, Tolerance::sum<float>(terms, 4));
    compare("dx", exact.dx, fast.dx, Tolerance::sum<float>(terms, 300));
    if (c.gate == GateIs::kThere) {
      compare("dz", exact.dz, fast.dz, Tolerance::sum<float>(terms, 300));
    }
    compare("dw", exact.dw, fast.dw, Tolerance::sum<float>(terms * (c.rows + 1), 50));
  }
}

TEST(GatedNorm, OneGroupEqualsGroupsAlone) {
  const NormRun<float> grouped({6, 48, 3, GateOrder::kBefore});
  for (int64_t g = 0; g < 3; ++g) {
    NormRun<float> run({6, 48, 3, GateOrder::kBefore});
    GatedNormArgs<float> args = run.forward_args();
    args.groups = 1;
    args.x = args.x.slice(1, g * 16, 16);
    args.z = args.z.slice(1, g * 16, 16);
    args.w = args.w.slice(0, g * 16, 16);
    args.y = args.y.slice(1, g * 16, 16);
    args.inverse = {};
    for (float& y : run.y) y = std::numeric_limits<float>::quiet_NaN();
    gated_norm(args);
    for (int64_t i = 0; i < 6 * 48; ++i) {
      if (i % 48 / 16 == g) {
        EXPECT_EQ(run.y[i], grouped.y[i]);
      }
    }
  }
}

TEST(GatedNorm, ScaleOfTheSignalDoesNotMatter) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    NormRun<double> run({4, 12, 2, order});
    GatedNormArgs<double> args = run.forward_args();
    args.epsilon = 0;
    gated_norm(args);
    const std::vector<double> before = run.y;
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t c = 0; c < 12; ++c) run.xz[r * 24 + c] *= 1024;
    }
    gated_norm(args);
    EXPECT_EQ(before, run.y);
  }
}

TEST(GatedNorm, ThreadsDoNotChangeTheResult) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const NormRun<float> run({2001, 40, 2, GateOrder::kBefore});
    std::vector<float> all = run.dw;
    all.insert(all.end(), run.dx.begin(), run.dx.end());
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(GatedNorm, RejectsBadShapes) {
  NormRun<float> run({4, 12, 2, GateOrder::kBefore});
  GatedNormArgs<float> bad = run.forward_args();
  bad.groups = 5;
  EXPECT_THROW(gated_norm(bad), InvalidArgument);
  bad.groups = 0;
  EXPECT_THROW(gated_norm(bad), InvalidArgument);
  bad = run.forward_args();
  bad.z = bad.z.slice(1, 0, 6);
  EXPECT_THROW(gated_norm(bad), InvalidArgument);
  bad = run.forward_args();
  bad.w = bad.w.slice(0, 0, 6);
  EXPECT_THROW(gated_norm(bad), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
