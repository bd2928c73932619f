// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d.h"

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

using testing::Tolerance;
using testing::Worst;

struct Case {
  int64_t batch, time, channels, width;
  ConvActivation activation = ConvActivation::kSilu;
  bool optional = true;  // bias, history and starts are there
};

constexpr ConvActivation kNone = ConvActivation::kNone;
constexpr Case kCases[] = {{2, 11, 33, 4},
                           {2, 11, 33, 4, kNone},
                           {1, 1, 1, 1},
                           {3, 0, 5, 4},
                           {2, 1, 17, 4},
                           {1, 2, 16, 4, kNone, false},
                           {2, 300, 20, 4},
                           {1, 600, 7, 3},
                           {1, 530, 40, 4, kNone, false},
                           {2, 40, 19, 2},
                           {1, 50, 31, 1},
                           {1, 7, 20, 19},
                           {2, 290, 18, 37, kNone},
                           {1, 140, 9, 128},
                           {1, 150, 3, 131},
                           {1, 5, 1100, 4}};

template <typename T>
std::vector<T> noise(int64_t count, uint64_t stream) {
  Random random(1, stream);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<float>(random.normal());
  return numbers;
}

std::vector<uint8_t> some_starts(int64_t count) {
  Random random(2);
  std::vector<uint8_t> starts(count);
  for (uint8_t& start : starts) start = random.integer(6) == 0 ? 1 : 0;
  return starts;
}

/// Operands and results in type T, the same random numbers whatever T; channels are a slice of a
/// wider matrix.
template <typename T>
struct ConvRun {
  Case size;
  int64_t pitch;
  std::vector<T> x, w, b, history, dy, dfinal;
  std::vector<uint8_t> starts;
  std::vector<T> y, final, dx, dw, db, dhistory;

  explicit ConvRun(const Case& c) : size(c), pitch(c.channels + 3) {
    const int64_t rows = c.batch * c.time, kept = c.batch * (c.width - 1) * c.channels;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    x = noise<T>(rows * pitch, 1);
    w = noise<T>(c.channels * c.width, 2);
    b = noise<T>(c.channels, 3);
    history = noise<T>(kept, 4);
    dy = noise<T>(rows * pitch, 5);
    dfinal = noise<T>(kept, 6);
    starts = some_starts(rows);
    y.assign(rows * pitch, nan);
    dx = y;
    final.assign(kept, nan);
    dhistory = final;
    dw.assign(w.size(), nan);
    db.assign(b.size(), nan);
  }

  template <typename Element>
  View<Element, 3> signal(std::vector<T>& data) const {
    return {data.data(), {size.batch, size.time, size.channels}, {size.time * pitch, pitch, 1}};
  }
  template <typename Element>
  View<Element, 3> rows(std::vector<T>& data) const {
    return {data.data(), {size.batch, size.width - 1, size.channels}};
  }

  CausalConv1dArgs<T> forward_args() {
    return {.activation = size.activation,
            .x = signal<const T>(x),
            .w = {w.data(), {size.channels, size.width}},
            .b = size.optional ? View<const T, 1>(b.data(), {size.channels}) : View<const T, 1>(),
            .history = size.optional ? rows<const T>(history) : View<const T, 3>(),
            .starts = size.optional ? View<const uint8_t, 2>(starts.data(), {size.batch, size.time})
                                    : View<const uint8_t, 2>(),
            .y = signal<T>(y),
            .final_history = rows<T>(final)};
  }

  void forward() { causal_conv1d(forward_args()); }

  void backward() {
    const CausalConv1dArgs<T> args = forward_args();
    Workspace workspace(
        causal_conv1d_backward_workspace_bytes({size.batch, size.time, size.channels, size.width}));
    causal_conv1d_backward<T>({.activation = args.activation,
                               .x = args.x,
                               .w = args.w,
                               .b = args.b,
                               .history = args.history,
                               .starts = args.starts,
                               .dy = signal<const T>(dy),
                               .dfinal = size.optional ? rows<const T>(dfinal) : View<const T, 3>(),
                               .dx = signal<T>(dx),
                               .dw = {dw.data(), {size.channels, size.width}},
                               .db = {db.data(), {size.channels}},
                               .dhistory = rows<T>(dhistory)},
                              workspace);
  }
};

void compare(const char* what, const std::vector<double>& expected, const std::vector<float>& got,
             Tolerance bound) {
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    const bool gap = std::isnan(expected[i]) && std::isnan(got[i]);
    worst.compare(static_cast<int64_t>(i), gap ? 0 : expected[i], gap ? 0 : got[i], bound);
  }
  if (!got.empty()) {
    EXPECT_TRUE(worst.ok());
  }
}

TEST(CausalConv1d, BackendsAgree) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message()
                 << c.batch << " " << c.time << " " << c.channels << " " << c.width);
    ConvRun<float> fast(c);
    ConvRun<double> exact(c);
    fast.forward();
    exact.forward();
    // Products of two normal numbers, of which 5 deviations each are met at most.
    compare("y", exact.y, fast.y, Tolerance::sum<float>(c.width + 1, 25));
    compare("final", exact.final, fast.final, Tolerance::sum<float>(1, 0));
    fast.backward();
    exact.backward();
    // da errs as y does and is summed over taps or over steps.
    const double slope = c.activation == kNone ? 1 : 5 * std::sqrt(static_cast<double>(c.width));
    compare("dx", exact.dx, fast.dx, Tolerance::sum<float>(c.width + 1, 25 * slope));
    compare("dhistory", exact.dhistory, fast.dhistory,
            Tolerance::sum<float>(c.width + 1, 25 * slope));
    compare("dw", exact.dw, fast.dw, Tolerance::sum<float>(c.batch * c.time, 25 * slope));
    compare("db", exact.db, fast.db, Tolerance::sum<float>(c.batch * c.time, 25 * slope));
  }
}

// Whole rows [begin, end) of a run's signal, as a view.
CausalConv1dArgs<float> part(const CausalConv1dArgs<float>& whole, int64_t begin, int64_t end) {
  CausalConv1dArgs<float> args = whole;
  args.x = whole.x.slice(1, begin, end - begin);
  args.y = whole.y.slice(1, begin, end - begin);
  if (!whole.starts.absent()) args.starts = whole.starts.slice(1, begin, end - begin);
  return args;
}

TEST(CausalConv1d, SplitInvarianceIsBitwiseAndStepsEqualPrefill) {
  for (const Case& c : kCases) {
    ConvRun<float> whole(c), split(c), steps(c);
    whole.forward();
    const CausalConv1dArgs<float> args = split.forward_args();
    const int64_t middle = c.time / 3;
    CausalConv1dArgs<float> head = part(args, 0, middle), tail = part(args, middle, c.time);
    tail.history = args.final_history;
    causal_conv1d(head);
    causal_conv1d(tail);
    CausalConv1dArgs<float> all = steps.forward_args();
    for (int64_t t = 0; t < c.time; ++t) {
      CausalConv1dArgs<float> step = part(all, t, t + 1);
      causal_conv1d(step);
      all.history = all.final_history;
    }
    for (const ConvRun<float>* other : {&split, &steps}) {
      if (other == &steps && c.time == 0) continue;
      const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
      EXPECT_TRUE(std::ranges::equal(whole.y, other->y, same)) << c.time << " " << c.width;
      EXPECT_EQ(whole.final, other->final) << c.time << " " << c.width;
    }
  }
}

TEST(CausalConv1d, PackedEqualsSeparate) {
  for (int64_t width : {1, 2, 4, 6, 40}) {
    const Case c{1, 300, 21, width};
    ConvRun<float> packed(c), alone(c);
    packed.forward();
    const CausalConv1dArgs<float> args = alone.forward_args();
    int64_t begin = 0;
    for (int64_t t = 1; t <= c.time; ++t) {
      if (t < c.time && packed.starts[t] == 0) continue;
      CausalConv1dArgs<float> one = part(args, begin, t);
      one.starts = {};
      if (begin > 0 || packed.starts[0] != 0) one.history = {};
      causal_conv1d(one);
      begin = t;
    }
    for (int64_t i = 0; i < c.time * packed.pitch; ++i) {
      if (i % packed.pitch < c.channels) {
        ASSERT_EQ(packed.y[i], alone.y[i]) << i;
      }
    }
    EXPECT_EQ(packed.final, alone.final);
  }
}

TEST(CausalConv1d, CausalityIsBitwise) {
  const Case c{1, 270, 19, 4};
  ConvRun<float> before(c), after(c);
  before.forward();
  const int64_t at = 258;
  for (int64_t i = at * after.pitch; i < c.time * after.pitch; ++i) after.x[i] += 1;
  after.forward();
  for (int64_t t = 0; t < c.time; ++t) {
    const bool same = std::equal(before.y.begin() + t * before.pitch,
                                 before.y.begin() + t * before.pitch + c.channels,
                                 after.y.begin() + t * after.pitch);
    EXPECT_EQ(same, t < at) << t;
  }
}

TEST(CausalConv1d, ThreadsDoNotChangeTheResult) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    ConvRun<float> run({3, 700, 70, 4});
    run.backward();
    std::vector<float> all = run.dw;
    all.insert(all.end(), run.db.begin(), run.db.end());
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(CausalConv1d, StridedChannelsGiveTheSameResult) {
  const Case c{2, 20, 9, 4};
  ConvRun<float> dense(c), strided(c);
  dense.forward();
  std::vector<float> across(dense.x.size());
  CausalConv1dArgs<float> args = strided.forward_args();
  View<float, 3> x(across.data(), args.x.extents(), {c.time * c.channels, 1, c.time});
  for (int64_t s = 0; s < c.batch; ++s) {
    for (int64_t t = 0; t < c.time; ++t) {
      for (int64_t k = 0; k < c.channels; ++k) x(s, t, k) = args.x(s, t, k);
    }
  }
  args.x = x;
  causal_conv1d(args);
  Worst worst("strided y");
  const Tolerance bound = Tolerance::sum<float>(c.width + 1, 25);
  for (int64_t s = 0; s < c.batch; ++s) {
    for (int64_t t = 0; t < c.time; ++t) {
      for (int64_t k = 0; k < c.channels; ++k) {
        worst.compare(t, dense.forward_args().y(s, t, k), args.y(s, t, k), bound);
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(CausalConv1d, RejectsBadShapes) {
  ConvRun<float> run({2, 5, 3, 4});
  const CausalConv1dArgs<float> good = run.forward_args();
  CausalConv1dArgs<float> bad = good;
  bad.w = good.w.slice(0, 0, 2);
  EXPECT_THROW(causal_conv1d(bad), InvalidArgument);
  bad = good;
  bad.w = good.w.slice(1, 0, 0);
  EXPECT_THROW(causal_conv1d(bad), InvalidArgument);
  bad = good;
  bad.history = good.history.slice(1, 0, 2);
  EXPECT_THROW(causal_conv1d(bad), InvalidArgument);
  bad = good;
  bad.starts = good.starts.slice(1, 0, 4);
  EXPECT_THROW(causal_conv1d(bad), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
