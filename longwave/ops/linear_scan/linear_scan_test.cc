// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan.h"

#include <gtest/gtest.h>

#include <array>
#include <complex>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

struct Size {
  int64_t batch, time, channels;
};

// Widths that take every kind of vector, lengths around the 256 steps of a sum, extents of 0 and 1.
constexpr std::array<Size, 12> kSizes = {{{1, 1, 1},
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

// Which extents of a are 1.
struct Sharing {
  int64_t rows, steps;  // 1 or 0 for all
};
constexpr std::array<Sharing, 4> kSharings = {{{0, 0}, {1, 0}, {0, 1}, {1, 1}}};

std::string name(const Size& size, const Sharing& sharing) {
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

// Operands of a scan and its gradient in one place; outputs start as NaN.
template <typename T>
struct Problem {
  Problem(const Size& extents, const Sharing& sharing, uint64_t seed)
      : size(extents),
        rows(sharing.rows ? 1 : extents.batch),
        steps(sharing.steps ? 1 : extents.time) {
    Random random(seed);
    for (int64_t i = 0; i < rows * steps * size.channels; ++i) {
      const auto pole = std::polar(random.uniform(0.3, 0.98), random.uniform(-3.1, 3.1));
      a.push_back(number<T>(pole.real(), pole.imag()));
    }
    const auto draw = [&](std::vector<T>& to, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        const double re = random.normal();
        to.push_back(number<T>(re, random.normal()));
      }
    };
    draw(b, size.batch * size.time * size.channels);
    draw(dh, size.batch * size.time * size.channels);
    draw(h0, size.batch * size.channels);
    draw(dfinal, size.batch * size.channels);
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

  Size size;
  int64_t rows, steps;
  std::vector<T> a, b, h0, h, final, dh, dfinal, da, db, dh0;
};

// States collect at most about 1 / (1 - |a|) = 50 inputs; da adds products of two of them.
template <typename T>
Tolerance state_bound() {
  return Tolerance::sum<T>(50, 50);
}
Tolerance gradient_bound(const Size& size) {
  return Tolerance::sum<float>(50 + size.batch * size.time, 2500);
}

template <typename A, typename B>
void compare(Worst& worst, const std::vector<A>& expected, const std::vector<B>& got,
             Tolerance bound) {
  ASSERT_EQ(expected.size(), got.size());
  worst.compare(-1, 0.0, 0.0, bound);
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
}

template <typename Single, typename Double>
void expect_backends_agree() {
  for (const Size& size : kSizes) {
    for (const Sharing& sharing : kSharings) {
      Problem<Single> kernel(size, sharing, 1);
      Problem<Double> oracle(size, sharing, 1);
      kernel.both();
      oracle.both();
      Worst worst(name(size, sharing));
      compare(worst, oracle.h, kernel.h, state_bound<float>());
      compare(worst, oracle.final, kernel.final, state_bound<float>());
      compare(worst, oracle.db, kernel.db, state_bound<float>());
      compare(worst, oracle.dh0, kernel.dh0, state_bound<float>());
      compare(worst, oracle.da, kernel.da, gradient_bound(size));
      EXPECT_TRUE(worst.ok());
    }
  }
}

TEST(LinearScan, BackendsAgree) {
  expect_backends_agree<float, double>();
  expect_backends_agree<std::complex<float>, std::complex<double>>();
}

TEST(LinearScan, OptionalOperandsCountAsZero) {
  using T = std::complex<float>;
  Problem<T> absent({2, 30, 19}, {0, 1}, 2), zero({2, 30, 19}, {0, 1}, 2);
  std::fill(zero.h0.begin(), zero.h0.end(), T(0));
  std::fill(zero.dfinal.begin(), zero.dfinal.end(), T(0));
  zero.both();
  auto args = absent.args();
  args.h0 = {};
  linear_scan(args);
  auto grad = absent.grad_args();
  grad.h0 = {};
  grad.dfinal = {};
  absent.run(grad);
  EXPECT_EQ(zero.h, absent.h);
  EXPECT_EQ(zero.da, absent.da);
  EXPECT_EQ(zero.db, absent.db);
  Problem<T> unwanted({2, 30, 19}, {0, 1}, 2);
  unwanted.h = zero.h;
  grad = unwanted.grad_args();
  grad.h0 = {};
  grad.dfinal = {};
  grad.da = {};
  unwanted.run(grad);
  EXPECT_EQ(zero.db, unwanted.db);
  EXPECT_EQ(zero.dh0, unwanted.dh0);
}

TEST(LinearScan, RecurrentEqualsConvolution) {
  using T = std::complex<double>;
  Problem<T> problem({1, 40, 3}, {1, 1}, 3);
  std::fill(problem.h0.begin(), problem.h0.end(), T(0));
  linear_scan(problem.args());
  Worst worst("powers of a against the scan");
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t t = 0; t < 40; ++t) {
      T sum = 0;
      for (int64_t lag = 0; lag <= t; ++lag) {
        sum += std::pow(problem.a[c], static_cast<double>(lag)) * problem.b[(t - lag) * 3 + c];
      }
      worst.compare(t, sum, problem.h[t * 3 + c], state_bound<double>());
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LinearScan, SplitInvariance) {
  using T = std::complex<float>;
  const Size size{2, 300, 37};
  for (const Sharing& sharing : {Sharing{0, 0}, Sharing{1, 1}}) {
    Problem<T> whole(size, sharing, 4);
    linear_scan(whole.args());
    for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{100}, size.time}) {
      Problem<T> parts(size, sharing, 4);
      auto first = parts.args(), second = parts.args();
      const auto all = parts.args();
      const auto part = [&](LinearScanArgs<T>& args, int64_t begin, int64_t count) {
        if (parts.steps > 1) args.a = all.a.slice(1, begin, count);
        args.b = all.b.slice(1, begin, count);
        args.h = all.h.slice(1, begin, count);
      };
      part(first, 0, cut);
      part(second, cut, size.time - cut);
      second.h0 = first.final;
      linear_scan(first);
      linear_scan(second);
      // A step does the same arithmetic wherever the sequence is cut.
      EXPECT_EQ(whole.h, parts.h);
      EXPECT_EQ(whole.final, parts.final);
    }
  }
}

TEST(LinearScan, Causality) {
  Problem<float> before({2, 50, 21}, {0, 0}, 5), after({2, 50, 21}, {0, 0}, 5);
  const int64_t changed = 30 * 21;
  for (int64_t i = 0; i < 21; ++i) {
    after.b[changed + i] += 1;
    after.a[changed + i] *= 0.5f;
  }
  linear_scan(before.args());
  linear_scan(after.args());
  for (int64_t i = 0; i < changed; ++i) ASSERT_EQ(before.h[i], after.h[i]);
  EXPECT_NE(before.h[changed], after.h[changed]);
}

TEST(LinearScan, BatchInvariance) {
  using T = std::complex<float>;
  Problem<T> together({5, 40, 23}, {1, 0}, 6), alone({5, 40, 23}, {1, 0}, 6);
  linear_scan(together.args());
  const auto all = alone.args();
  for (int64_t b = 0; b < 5; ++b) {
    auto one = all;
    one.b = all.b.slice(0, b, 1);
    one.h0 = all.h0.slice(0, b, 1);
    one.h = all.h.slice(0, b, 1);
    one.final = all.final.slice(0, b, 1);
    linear_scan(one);
  }
  EXPECT_EQ(together.h, alone.h);
  EXPECT_EQ(together.final, alone.final);
}

TEST(LinearScan, SameSeedSameBits) {
  using T = std::complex<float>;
  const int former = thread_count();
  for (const Size& size : kSizes) {
    for (const Sharing& sharing : kSharings) {
      Problem<T> one(size, sharing, 7), many(size, sharing, 7);
      set_thread_count(1);
      one.both();
      set_thread_count(3);
      many.both();
      EXPECT_EQ(one.h, many.h) << name(size, sharing);
      EXPECT_EQ(one.da, many.da) << name(size, sharing);
      EXPECT_EQ(one.db, many.db) << name(size, sharing);
      EXPECT_EQ(one.dh0, many.dh0) << name(size, sharing);
    }
  }
  set_thread_count(former);
}

TEST(LinearScan, StridedViewsGiveTheSameResult) {
  using T = std::complex<float>;
  const Size size{2, 33, 9};
  Problem<T> dense(size, {0, 0}, 8), strided(size, {0, 0}, 8);
  dense.both();
  const auto transposed = [&](std::vector<T>& storage, const std::vector<T>& from) {
    storage.resize(from.size());
    View<T, 3> view(storage.data(), {size.batch, size.time, size.channels},
                    {size.channels * size.time, 1, size.time});
    for (int64_t i = 0; i < static_cast<int64_t>(from.size()); ++i) {
      const int64_t row = i / size.channels;
      view(row / size.time, row % size.time, i % size.channels) = from[i];
    }
    return view;
  };
  std::vector<T> a, h;
  auto args = strided.args();
  args.a = transposed(a, strided.a);
  args.h = transposed(h, strided.h);
  linear_scan(args);
  Worst worst("transposed operands");
  for (int64_t b = 0; b < size.batch; ++b) {
    for (int64_t t = 0; t < size.time; ++t) {
      for (int64_t c = 0; c < size.channels; ++c) {
        worst.compare(t, dense.args().h(b, t, c), args.h(b, t, c), state_bound<float>());
      }
    }
  }
  auto grad = strided.grad_args();
  grad.a = args.a;
  grad.h = args.h;
  strided.run(grad);
  compare(worst, dense.da, strided.da, gradient_bound(size));
  compare(worst, dense.db, strided.db, state_bound<float>());
  EXPECT_TRUE(worst.ok());
}

// L = sum Re(conj(dh) h) + sum Re(conj(dfinal) final), whose gradients the backward pass must give.
template <typename T>
double loss(Problem<T>& problem) {
  linear_scan(problem.args());
  double sum = 0;
  for (size_t i = 0; i < problem.h.size(); ++i) {
    sum += std::real(conjugate(problem.dh[i]) * problem.h[i]);
  }
  for (size_t i = 0; i < problem.final.size(); ++i) {
    sum += std::real(conjugate(problem.dfinal[i]) * problem.final[i]);
  }
  return sum;
}

template <typename T>
void expect_gradient(const Sharing& sharing) {
  Problem<T> problem({2, 7, 3}, sharing, 9);
  problem.both();
  Worst worst(name(problem.size, sharing));
  const double step = 1e-5;
  const auto check = [&](std::vector<T>& values, const std::vector<T>& gradients) {
    for (size_t i = 0; i < values.size() * (sizeof(T) / sizeof(double)); ++i) {
      double& value = reinterpret_cast<double*>(values.data())[i];
      const double former = value;
      value = former + step;
      const double above = loss(problem);
      value = former - step;
      const double below = loss(problem);
      value = former;
      // The third derivative times step^2 / 6, and rounding over step, for losses of about 100.
      worst.compare(static_cast<int64_t>(i), (above - below) / (2 * step),
                    reinterpret_cast<const double*>(gradients.data())[i], Tolerance{1e-7});
    }
  };
  check(problem.a, problem.da);
  check(problem.b, problem.db);
  check(problem.h0, problem.dh0);
  EXPECT_TRUE(worst.ok());
}

TEST(LinearScan, GradientMatchesFiniteDifference) {
  for (const Sharing& sharing : kSharings) {
    expect_gradient<double>(sharing);
    expect_gradient<std::complex<double>>(sharing);
  }
}

TEST(LinearScan, RejectsBadShapes) {
  using T = std::complex<float>;
  Problem<T> problem({3, 4, 5}, {0, 0}, 10);
  using Spoil = std::function<void(LinearScanArgs<T>&)>;
  const std::vector<Spoil> spoilers = {[](auto& args) { args.a = args.a.slice(0, 0, 2); },
                                       [](auto& args) { args.a = args.a.slice(1, 0, 3); },
                                       [](auto& args) { args.a = args.a.slice(2, 0, 1); },
                                       [](auto& args) { args.h = args.h.slice(1, 0, 1); },
                                       [](auto& args) { args.h0 = args.h0.slice(0, 0, 1); },
                                       [](auto& args) { args.final = args.final.slice(1, 0, 4); }};
  for (const Spoil& spoil : spoilers) {
    auto args = problem.args();
    spoil(args);
    EXPECT_THROW(linear_scan(args), InvalidArgument);
  }
  Workspace workspace(1 << 12);
  auto grad = problem.grad_args();
  grad.da = grad.da.slice(1, 0, 1);
  EXPECT_THROW(linear_scan_backward(grad, workspace), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
