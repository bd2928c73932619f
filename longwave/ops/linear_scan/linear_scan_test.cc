// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan.h"

#include <gtest/gtest.h>

#include <complex>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/linear_scan/testing/linear_problem.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::kLinearSizes;
using testing::kSharings;
using testing::name;
using testing::Sharing;
using Size = testing::LinearSize;
template <typename T>
using Problem = testing::LinearProblem<T>;

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
  for (const Size& size : kLinearSizes) {
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
  for (const Size& size : kLinearSizes) {
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
