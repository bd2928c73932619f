// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/testing/allocation_count.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/lti_scan/testing/lti_problem.h"

namespace longwave::ops {
namespace {

using testing::compare;
using testing::kLtiSizes;
using testing::name;
using testing::output_bound;
using testing::Worst;
using Size = testing::LtiSize;
template <typename T>
using Problem = testing::LtiProblem<T>;

TEST(LtiScan, BackendsAgree) {
  for (const Size& size : kLtiSizes) {
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
  for (const Size& size : kLtiSizes) {
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

TEST(LtiScan, NeverAllocates) {
  Problem<float> problem({1, 1, 40, 9}, 15), longer({2, 300, 40, 9}, 15);
  Workspace workspace(lti_scan_workspace_bytes(2, 40, 9));
  const auto step = problem.args();
  const auto scan = longer.args();
  lti_scan(scan, workspace);
  const int64_t before = longwave::testing::allocation_count();
  lti_scan_step(step);
  lti_scan(scan, workspace);
  EXPECT_EQ(longwave::testing::allocation_count(), before);
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
  for (const Size& size : kLtiSizes) {
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

}  // namespace
}  // namespace longwave::ops
