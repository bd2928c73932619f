// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

struct Size {
  int64_t batch, time, channels, modes;
};

// One of each kind of tile: whole and partial groups, rows side by side, modes over lanes; lengths
// around the block of 256 steps; extents of 0 and 1.
constexpr std::array<Size, 16> kSizes = {{{1, 1, 1, 1},
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

std::string name(const Size& size) {
  return "batch " + std::to_string(size.batch) + " time " + std::to_string(size.time) +
         " channels " + std::to_string(size.channels) + " modes " + std::to_string(size.modes);
}

// Operands of a scan and its gradient in one place; outputs start as NaN.
template <typename T>
struct Problem {
  using Complex = std::complex<T>;

  Problem(const Size& size, uint64_t seed) : size(size) {
    Random random(seed);
    const int64_t signal = size.batch * size.time * size.channels;
    const int64_t factor = size.channels * size.modes;
    const int64_t state = size.batch * size.channels * size.modes;
    for (int64_t i = 0; i < signal; ++i) u.push_back(static_cast<T>(float(random.normal())));
    for (int64_t i = 0; i < signal; ++i) dy.push_back(static_cast<T>(float(random.normal())));
    for (int64_t i = 0; i < factor; ++i) {
      // Radii up to 0.98, so that the error bound needs no large factor.
      const auto pole = std::polar(random.uniform(0.3, 0.98), random.uniform(-3.1, 3.1));
      a.push_back(Complex(std::complex<float>(pole)));
      c.push_back(draw(random));
    }
    for (int64_t i = 0; i < size.channels; ++i) d.push_back(static_cast<T>(float(random.normal())));
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

  Size size;
  std::vector<T> u, d, y, dy, du, dd;
  std::vector<Complex> a, c, h, dh, da, dc, dh0;
};

// What rounding may do to a sum over modes of states that each collect about 1 / (1 - |a|) inputs.
template <typename T>
Tolerance output_bound(const Size& size) {
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

TEST(LtiScan, BackendsAgree) {
  for (const Size& size : kSizes) {
    for (uint64_t seed = 0; seed < 2; ++seed) {
      Problem<float> kernel(size, seed);
      Problem<double> oracle(size, seed);
      kernel.forward();
      oracle.forward();
      Worst worst(name(size));
      worst.compare(-1, 0.0, 0.0, output_bound<float>(size));
      compare(worst, oracle.y, kernel.y, output_bound<float>(size));
      compare(worst, oracle.h, kernel.h, output_bound<float>(size));
      EXPECT_TRUE(worst.ok());
    }
  }
}

TEST(LtiScan, BackendsAgreeWithoutSkip) {
  for (const Size& size : kSizes) {
    Problem<float> kernel(size, 3);
    Problem<double> oracle(size, 3);
    auto args = kernel.args();
    args.d = {};
    kernel.run(args);
    auto expected = oracle.args();
    expected.d = {};
    lti_scan_ref(expected);
    Worst worst(name(size));
    worst.compare(-1, 0.0, 0.0, output_bound<float>(size));
    compare(worst, oracle.y, kernel.y, output_bound<float>(size));
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LtiScan, RecurrentEqualsConvolution) {
  const Size size{2, 60, 5, 4};
  Problem<double> problem(size, 1);
  std::fill(problem.h.begin(), problem.h.end(), 0.0);
  problem.forward();
  auto args = problem.args();
  Worst worst(name(size));
  for (int64_t b = 0; b < size.batch; ++b) {
    for (int64_t c = 0; c < size.channels; ++c) {
      for (int64_t t = 0; t < size.time; ++t) {
        double y = args.d(c) * args.u(b, t, c);
        for (int64_t lag = 0; lag <= t; ++lag) {
          double kernel = 0;
          for (int64_t n = 0; n < size.modes; ++n) {
            kernel += std::real(args.c(c, n) * std::pow(args.a(c, n), static_cast<double>(lag)));
          }
          y += kernel * args.u(b, t - lag, c);
        }
        worst.compare((b * size.time + t) * size.channels + c, y, args.y(b, t, c),
                      output_bound<double>(size));
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LtiScan, SplitInvariance) {
  for (const Size& size : {Size{2, 530, 5, 6}, Size{1, 40, 32, 3}, Size{3, 9, 1, 4}}) {
    Problem<float> whole(size, 2);
    whole.forward();
    for (const int64_t cut : {int64_t{0}, int64_t{1}, size.time / 3, size.time - 1, size.time}) {
      Problem<float> parts(size, 2);
      const auto all = parts.args();
      for (const auto& [begin, count] : {std::pair{int64_t{0}, cut}, {cut, size.time - cut}}) {
        auto part = all;
        part.u = all.u.slice(1, begin, count);
        part.y = all.y.slice(1, begin, count);
        parts.run(part);
      }
      Worst worst(name(size) + " cut at " + std::to_string(cut));
      compare(worst, whole.y, parts.y, output_bound<float>(size));
      compare(worst, whole.h, parts.h, output_bound<float>(size));
      EXPECT_TRUE(worst.ok());
    }
  }
}

TEST(LtiScan, StepEqualsPrefill) {
  for (const Size& size : {Size{1, 30, 5, 37}, Size{2, 12, 33, 2}, Size{1, 20, 3, 1}}) {
    Problem<float> whole(size, 4), steps(size, 4);
    whole.forward();
    const auto all = steps.args();
    for (int64_t t = 0; t < size.time; ++t) {
      auto step = all;
      step.u = all.u.slice(1, t, 1);
      step.y = all.y.slice(1, t, 1);
      lti_scan_step(step);
    }
    Worst worst(name(size));
    compare(worst, whole.y, steps.y, output_bound<float>(size));
    compare(worst, whole.h, steps.h, output_bound<float>(size));
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LtiScan, Causality) {
  for (const Size& size : {Size{2, 300, 18, 5}, Size{1, 300, 1, 8}}) {
    Problem<float> before(size, 5), after(size, 5);
    const int64_t changed = 270;
    for (int64_t c = 0; c < size.channels; ++c) after.u[changed * size.channels + c] += 1.0f;
    before.forward();
    after.forward();
    for (int64_t i = 0; i < changed * size.channels; ++i) {
      ASSERT_EQ(before.y[i], after.y[i]) << name(size) << " at " << i;
    }
    EXPECT_NE(before.y[changed * size.channels], after.y[changed * size.channels]);
  }
}

TEST(LtiScan, BatchInvariance) {
  for (const Size& size : {Size{5, 70, 3, 8}, Size{3, 70, 20, 4}, Size{18, 20, 1, 6}}) {
    Problem<float> together(size, 6), alone(size, 6);
    together.forward();
    const auto all = alone.args();
    for (int64_t b = 0; b < size.batch; ++b) {
      auto one = all;
      one.u = all.u.slice(0, b, 1);
      one.y = all.y.slice(0, b, 1);
      one.h = all.h.slice(0, b, 1);
      alone.run(one);
    }
    Worst worst(name(size));
    compare(worst, together.y, alone.y, output_bound<float>(size));
    compare(worst, together.h, alone.h, output_bound<float>(size));
    EXPECT_TRUE(worst.ok());
  }
}

TEST(LtiScan, Linearity) {
  const Size size{2, 280, 19, 6};
  Problem<float> first(size, 7), second(size, 8), sum(size, 7);
  second.a = first.a;
  second.c = first.c;
  second.d = first.d;
  for (size_t i = 0; i < sum.u.size(); ++i) sum.u[i] = 2 * first.u[i] - second.u[i];
  for (size_t i = 0; i < sum.h.size(); ++i) sum.h[i] = 2.0f * first.h[i] - second.h[i];
  first.forward();
  second.forward();
  sum.forward();
  Worst worst(name(size));
  for (size_t i = 0; i < sum.y.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), 2 * first.y[i] - second.y[i], sum.y[i],
                  output_bound<float>(size));
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LtiScan, SameSeedSameBits) {
  const int former = thread_count();
  for (const Size& size : kSizes) {
    Problem<float> one(size, 9), many(size, 9);
    set_thread_count(1);
    one.backward();
    one.forward();
    set_thread_count(3);
    many.backward();
    many.forward();
    EXPECT_EQ(one.y, many.y) << name(size);
    EXPECT_EQ(one.h, many.h) << name(size);
    EXPECT_EQ(one.du, many.du) << name(size);
    EXPECT_EQ(one.da, many.da) << name(size);
    EXPECT_EQ(one.dc, many.dc) << name(size);
    EXPECT_EQ(one.dd, many.dd) << name(size);
    EXPECT_EQ(one.dh0, many.dh0) << name(size);
  }
  set_thread_count(former);
}

TEST(LtiScan, StridedViewsGiveTheSameResult) {
  const Size size{3, 20, 21, 5};
  Problem<float> dense(size, 10), strided(size, 10);
  dense.forward();
  // (batch, channels, time) in memory, and factors (modes, channels).
  const auto [batch, time, channels, modes] = size;
  std::vector<float> u(dense.u.size()), y(dense.y.size(), NAN);
  std::vector<std::complex<float>> a(dense.a.size()), h(dense.h.size());
  const std::array<int64_t, 3> strides{channels * time, 1, time};
  const View<float, 3> u_view(u.data(), {batch, time, channels}, strides);
  const View<float, 3> y_view(y.data(), {batch, time, channels}, strides);
  const View<std::complex<float>, 2> a_view(a.data(), {channels, modes}, {1, channels});
  const View<std::complex<float>, 3> h_view(h.data(), {batch, channels, modes},
                                            {1, batch, batch * channels});
  auto args = strided.args();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < time; ++t) u_view(b, t, c) = args.u(b, t, c);
      for (int64_t n = 0; n < modes; ++n) {
        a_view(c, n) = args.a(c, n);
        h_view(b, c, n) = args.h(b, c, n);
      }
    }
  }
  args.u = u_view;
  args.y = y_view;
  args.a = a_view;
  args.h = h_view;
  strided.run(args);
  const auto expected = dense.args();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < time; ++t) ASSERT_EQ(expected.y(b, t, c), y_view(b, t, c));
      for (int64_t n = 0; n < modes; ++n) ASSERT_EQ(expected.h(b, c, n), h_view(b, c, n));
    }
  }
}

TEST(LtiScan, DecayedStateIsExactlyZero) {
  const Size size{1, 4000, 16, 3};
  Problem<float> problem(size, 11);
  std::fill(problem.u.begin(), problem.u.end(), 0.0f);
  problem.a.assign(problem.a.size(), {0.6f, 0.1f});
  problem.forward();
  for (const auto& h : problem.h) EXPECT_EQ(h, std::complex<float>(0));
}

TEST(LtiScan, RejectsBadShapes) {
  const Size size{2, 3, 4, 5};
  Problem<float> problem(size, 12);
  Workspace workspace(1 << 16);
  using Spoil = std::function<void(LtiScanArgs<float>&)>;
  const std::vector<Spoil> spoilers = {[](auto& args) { args.a = args.a.slice(0, 0, 3); },
                                       [](auto& args) { args.c = args.c.slice(1, 0, 4); },
                                       [](auto& args) { args.d = args.d.slice(0, 0, 1); },
                                       [](auto& args) { args.h = args.h.slice(0, 0, 1); },
                                       [](auto& args) { args.y = args.y.slice(1, 0, 2); }};
  for (const Spoil& spoil : spoilers) {
    auto args = problem.args();
    spoil(args);
    EXPECT_THROW(lti_scan(args, workspace), InvalidArgument);
  }
  EXPECT_THROW(lti_scan_step(problem.args()), InvalidArgument);
  auto grad = problem.grad_args();
  grad.dd = {};
  EXPECT_THROW(lti_scan_backward(grad, workspace), InvalidArgument);
  grad = problem.grad_args();
  grad.dh0 = grad.dh0.slice(2, 0, 1);
  EXPECT_THROW(lti_scan_backward(grad, workspace), InvalidArgument);
  try {
    auto args = problem.args();
    args.y = args.y.slice(1, 0, 2);
    lti_scan(args, workspace);
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_EQ(error.report().got, "(2, 2, 4)");
    EXPECT_NE(error.report().fix.find("(2, 3, 4)"), std::string::npos);
  }
}

// L = sum dy y + sum Re(conj(dh) h[time-1]), whose gradients the backward pass must give.
double loss(Problem<double>& problem) {
  const std::vector<std::complex<double>> h0 = problem.h;
  problem.forward();
  double sum = 0;
  for (size_t i = 0; i < problem.y.size(); ++i) sum += problem.dy[i] * problem.y[i];
  for (size_t i = 0; i < problem.h.size(); ++i) {
    sum += std::real(std::conj(problem.dh[i]) * problem.h[i]);
  }
  problem.h = h0;
  return sum;
}

TEST(LtiScan, GradientMatchesFiniteDifference) {
  const Size size{2, 11, 3, 2};
  Problem<double> problem(size, 13);
  problem.backward();
  Worst worst(name(size));
  const double step = 1e-5;
  // Central differences of a function that is a polynomial of high degree in a.
  const Tolerance bound{1e-6};
  const auto check = [&](double& value, double gradient, int64_t index) {
    const double former = value;
    value = former + step;
    const double above = loss(problem);
    value = former - step;
    const double below = loss(problem);
    value = former;
    worst.compare(index, (above - below) / (2 * step), gradient, bound);
  };
  const auto check_complex = [&](std::vector<std::complex<double>>& values,
                                 const std::vector<std::complex<double>>& gradients) {
    for (size_t i = 0; i < values.size(); ++i) {
      auto* parts = reinterpret_cast<double*>(&values[i]);
      check(parts[0], gradients[i].real(), static_cast<int64_t>(i));
      check(parts[1], gradients[i].imag(), static_cast<int64_t>(i));
    }
  };
  for (size_t i = 0; i < problem.u.size(); ++i) check(problem.u[i], problem.du[i], 0);
  for (size_t i = 0; i < problem.d.size(); ++i) check(problem.d[i], problem.dd[i], 1);
  check_complex(problem.a, problem.da);
  check_complex(problem.c, problem.dc);
  check_complex(problem.h, problem.dh0);
  EXPECT_TRUE(worst.ok());
}

// Sums over time of products of two states of about 50, for da; smaller for the others.
Tolerance gradient_bound(const Size& size) {
  return Tolerance::sum<float>(size.batch * size.time + size.modes * 50 + 1, 2500);
}

TEST(LtiScan, BackendsAgreeOnGradients) {
  for (const Size& size : kSizes) {
    Problem<float> kernel(size, 14);
    Problem<double> oracle(size, 14);
    kernel.backward();
    oracle.backward();
    Worst worst(name(size));
    worst.compare(-1, 0.0, 0.0, gradient_bound(size));
    compare(worst, oracle.du, kernel.du, output_bound<float>(size));
    compare(worst, oracle.dh0, kernel.dh0, output_bound<float>(size));
    compare(worst, oracle.dd, kernel.dd, gradient_bound(size));
    compare(worst, oracle.dc, kernel.dc, gradient_bound(size));
    compare(worst, oracle.da, kernel.da, gradient_bound(size));
    EXPECT_TRUE(worst.ok());
  }
}

}  // namespace
}  // namespace longwave::ops
