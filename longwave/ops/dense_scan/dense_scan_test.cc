// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dense_scan/dense_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

struct Size {
  int64_t batch, time, channels, n;
};

constexpr Size kSizes[] = {{1, 0, 2, 3},  {0, 4, 2, 3},   {1, 1, 1, 1},   {2, 9, 3, 2},
                           {3, 17, 5, 7}, {1, 33, 2, 16}, {2, 12, 4, 31}, {2, 21, 3, 67}};

/// Stable systems of random matrices; A is kept by columns, y is poisoned.
template <typename T>
struct Operands {
  Size size;
  std::vector<T> u, A, B, C, d, x, y;

  Operands(const Size& extents, uint64_t seed) : size(extents) {
    Random random(seed);
    const auto [batch, time, channels, n] = size;
    const auto fill = [&](std::vector<T>& values, int64_t count, double most) {
      values.resize(static_cast<size_t>(count));
      for (T& value : values)
        value = static_cast<T>(static_cast<float>(random.uniform(-most, most)));
    };
    fill(u, batch * time * channels, 1);
    // Spectral radius about 0.58 sqrt(n) most = 0.9.
    fill(A, channels * n * n, 1.55 / std::sqrt(static_cast<double>(n)));
    fill(B, channels * n, 1);
    fill(C, channels * n, 1);
    fill(d, channels, 1);
    fill(x, batch * channels * n, 1);
    y.assign(u.size(), std::numeric_limits<T>::quiet_NaN());
  }

  DenseScanArgs<T> args() {
    const auto [batch, time, channels, n] = size;
    return {.u = {u.data(), {batch, time, channels}},
            .A = {A.data(), {channels, n, n}, {n * n, 1, n}},
            .B = {B.data(), {channels, n}},
            .C = {C.data(), {channels, n}},
            .d = {d.data(), {channels}},
            .x = {x.data(), {batch, channels, n}},
            .y = {y.data(), {batch, time, channels}}};
  }

  void run() { run(args()); }
  void run(const DenseScanArgs<T>& some) {
    Workspace workspace(dense_scan_workspace_bytes(size.channels, size.n));
    dense_scan(some, workspace);
  }
};

TEST(DenseScan, BackendsAgree) {
  uint64_t seed = 1;
  for (const Size& size : kSizes) {
    SCOPED_TRACE(::testing::Message()
                 << size.batch << " x " << size.time << " x " << size.channels << ", n " << size.n);
    Operands<float> fast(size, ++seed);
    Operands<double> judge(size, seed);
    fast.run();
    judge.run();
    // Errors of one step are sums of n products; a stable system keeps a few steps' worth alive.
    constexpr int64_t kStepsAlive = 10;
    double largest = 1;
    for (double value : judge.x) largest = std::max(largest, std::abs(value));
    for (double value : judge.y) largest = std::max(largest, std::abs(value));
    const auto bound = Tolerance::sum<float>(kStepsAlive * (size.n + 2), largest);
    Worst worst("x and y");
    for (size_t i = 0; i < judge.x.size(); ++i) worst.compare(i, judge.x[i], fast.x[i], bound);
    for (size_t i = 0; i < judge.y.size(); ++i) worst.compare(i, judge.y[i], fast.y[i], bound);
    EXPECT_TRUE(judge.x.empty() || worst.ok());
  }
}

TEST(DenseScan, SplitInvarianceIsBitwise) {
  for (int64_t cut : {0, 1, 8, 20, 21}) {
    Operands<float> whole({2, 21, 3, 37}, 5), parts({2, 21, 3, 37}, 5);
    whole.run();
    DenseScanArgs<float> first = parts.args(), second = parts.args();
    first.u = first.u.slice(1, 0, cut);
    first.y = first.y.slice(1, 0, cut);
    second.u = second.u.slice(1, cut, 21 - cut);
    second.y = second.y.slice(1, cut, 21 - cut);
    parts.run(first);
    parts.run(second);
    EXPECT_EQ(whole.y, parts.y) << "cut at " << cut;
    EXPECT_EQ(whole.x, parts.x) << "cut at " << cut;
  }
}

TEST(DenseScan, AnyStridesGiveTheSameResult) {
  Operands<float> columns({2, 9, 3, 21}, 8), rows({2, 9, 3, 21}, 8);
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t i = 0; i < 21; ++i) {
      for (int64_t j = 0; j < 21; ++j) rows.A[(c * 21 + i) * 21 + j] = columns.args().A(c, i, j);
    }
  }
  DenseScanArgs<float> args = rows.args();
  args.A = {rows.A.data(), {3, 21, 21}};
  rows.run(args);
  columns.run();
  Worst worst("y");
  for (size_t i = 0; i < rows.y.size(); ++i) {
    worst.compare(i, columns.y[i], rows.y[i], Tolerance::sum<float>(10 * 23, 10));
  }
  EXPECT_TRUE(worst.ok());
}

TEST(DenseScan, SameBitsForEveryThreadCount) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Operands<float> operands({3, 40, 7, 64}, 9);
    operands.run();
    results.push_back(operands.y);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(DenseScan, RejectsBadShapes) {
  Operands<float> operands({2, 3, 4, 5}, 1);
  const auto refused = [&](auto change) {
    DenseScanArgs<float> args = operands.args();
    change(args);
    EXPECT_THROW(operands.run(args), InvalidArgument);
  };
  refused([](auto& args) { args.A = args.A.slice(2, 0, 4); });
  refused([](auto& args) { args.B = args.B.slice(0, 0, 3); });
  refused([](auto& args) { args.C = args.C.slice(1, 0, 4); });
  refused([](auto& args) { args.d = args.d.slice(0, 0, 3); });
  refused([](auto& args) { args.x = args.x.slice(0, 0, 1); });
  refused([](auto& args) { args.y = args.y.slice(1, 0, 2); });
}

}  // namespace
}  // namespace longwave::ops
