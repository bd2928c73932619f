// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan.h"
#include "longwave/ops/selective_scan/selective_scan_ref.h"
#include "longwave/ops/selective_scan/testing/selective_agree.h"
#include "longwave/ops/selective_scan/testing/selective_problem.h"

namespace longwave::ops {
namespace {

using testing::agree;
using testing::gradient_terms;
using testing::kSelectiveSizes;
using testing::kSelectiveVariants;
using testing::name;
using testing::Tolerance;
using testing::Worst;
using Size = testing::SelectiveSize;
using Variant = testing::SelectiveVariant;
template <typename T>
using Problem = testing::SelectiveProblem<T>;

void expect_backends_agree(const Size& size, const Variant& variant) {
  Problem<float> kernel(size, 11, variant);
  Problem<double> oracle(size, 11, variant);
  kernel.both();
  oracle.both();
  const auto expected = oracle.gradients();
  const auto got = kernel.gradients();
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(agree<float>(name(size) + " " + got[i].first, *expected[i].second, *got[i].second,
                             gradient_terms(size)));
  }
}

TEST(SelectiveScanGradient, BackendsAgree) {
  for (const Size& size : kSelectiveSizes) {
    for (const Variant& variant : kSelectiveVariants) expect_backends_agree(size, variant);
  }
}

TEST(SelectiveScanGradient, BackendsAgreeOverSeveralPasses) {
  // As many sequences as take passes of the shortest length, and one step beyond a pass.
  for (const Variant& variant : kSelectiveVariants) {
    expect_backends_agree({32, 257, 2, 1, 32}, variant);
  }
}

// A number that weighs every output by what the backward pass is given.
double loss(Problem<double>& problem) {
  const std::vector<double> h0 = problem.h;
  problem.forward();
  double sum = 0;
  for (size_t i = 0; i < problem.y.size(); ++i) sum += problem.dy[i] * problem.y[i];
  for (size_t i = 0; i < problem.h.size(); ++i) sum += problem.dh[i] * problem.h[i];
  problem.h = h0;
  return sum;
}

TEST(SelectiveScanGradient, MatchesFiniteDifference) {
  for (const Variant& variant : kSelectiveVariants) {
    Problem<double> problem({2, 7, 4, 2, 3}, 13, variant);
    const std::vector<double> h0 = problem.h;
    problem.both();
    problem.h = h0;
    Worst worst("gradient");
    const double step = 1e-5;
    const auto check = [&](std::vector<double>& values, const std::vector<double>& gradients) {
      for (size_t i = 0; i < values.size(); ++i) {
        const double former = values[i];
        values[i] = former + step;
        const double above = loss(problem);
        values[i] = former - step;
        const double below = loss(problem);
        values[i] = former;
        // The third derivative times step^2 / 6, and rounding over step, for losses of about 100.
        worst.compare(static_cast<int64_t>(i), (above - below) / (2 * step), gradients[i],
                      Tolerance{1e-7});
      }
    };
    const Problem<double> gradient = problem;
    check(problem.u, gradient.du);
    check(problem.dt, gradient.ddt);
    check(problem.A, gradient.dA);
    check(problem.B, gradient.dB);
    check(problem.C, gradient.dC);
    check(problem.h, gradient.dh0);
    if (problem.all()) {
      check(problem.D, gradient.dD);
      check(problem.dt_bias, gradient.ddt_bias);
      check(problem.z, gradient.dz);
    }
    EXPECT_TRUE(worst.ok());
  }
}

template <typename T>
void expect_same_in_place(const Size& size, const Variant& variant) {
  Problem<T> apart(size, 14, variant), in_place(size, 14, variant);
  apart.both();
  in_place.forward();
  auto args = in_place.grad_args();
  args.du = {in_place.dy.data(), args.du.extents()};
  args.ddt = {in_place.dt.data(), args.ddt.extents()};
  in_place.run(args);
  in_place.du = in_place.dy;
  in_place.ddt = in_place.dt;
  for (size_t i = 0; i < apart.gradients().size(); ++i) {
    EXPECT_EQ(*apart.gradients()[i].second, *in_place.gradients()[i].second)
        << name(size) << " " << apart.gradients()[i].first;
  }
}

TEST(SelectiveScanGradient, MayLieWhereItsOperandsLay) {
  for (const Size& size : kSelectiveSizes) {
    for (const Variant& variant : kSelectiveVariants) {
      expect_same_in_place<float>(size, variant);
      expect_same_in_place<double>(size, variant);
    }
  }
}

// Gradients of the steps before one, and of the state before the first.
template <typename T>
std::vector<T> gradients_before(const Problem<T>& problem, int64_t step) {
  const auto [batch, time, channels, groups, state] = problem.size;
  std::vector<T> early = problem.dh0;
  const auto add = [&](const std::vector<T>& gradients, int64_t row) {
    early.insert(early.end(), gradients.begin(), gradients.begin() + step * row);
  };
  for (const auto* signal : {&problem.du, &problem.ddt, &problem.dz}) add(*signal, channels);
  for (const auto* input : {&problem.dB, &problem.dC}) add(*input, groups * state);
  return early;
}

template <typename T>
void expect_no_trace_of_infinity(const Size& size, int64_t start) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Problem<T> clean(size, 15, {.packing = Variant::Packing::kStarts});
  std::fill(clean.starts.begin(), clean.starts.end(), 0);
  clean.starts[start] = 1;
  Problem<T> dirty = clean;
  std::fill(dirty.dy.begin() + start * size.channels, dirty.dy.end(), kInfinity);
  std::fill(dirty.dh.begin(), dirty.dh.end(), kInfinity);
  clean.both();
  dirty.both();
  EXPECT_EQ(gradients_before(clean, start), gradients_before(dirty, start))
      << name(size) << " start " << start;
}

TEST(SelectiveScanGradient, WhatFollowsASequenceDoesNotMatter) {
  for (const Size& size : {Size{1, 70, 20, 1, 16}, Size{1, 70, 6, 2, 5}}) {
    for (const int64_t start : {1, 31, 32, 64, 69}) {
      expect_no_trace_of_infinity<float>(size, start);
      expect_no_trace_of_infinity<double>(size, start);
    }
  }
}

TEST(SelectiveScanGradient, OfAnAbsentFinalGradientIsThatOfZero) {
  for (const Size& size : {Size{2, 70, 20, 1, 16}, Size{2, 0, 3, 1, 2}}) {
    Problem<float> without(size, 12), zero(size, 12);
    std::fill(zero.dh.begin(), zero.dh.end(), 0.0f);
    without.forward();
    auto args = without.grad_args();
    args.dh = {};
    without.run(args);
    zero.both();
    for (size_t i = 0; i < zero.gradients().size(); ++i) {
      EXPECT_EQ(*zero.gradients()[i].second, *without.gradients()[i].second)
          << name(size) << " " << zero.gradients()[i].first;
    }
  }
}

}  // namespace
}  // namespace longwave::ops
