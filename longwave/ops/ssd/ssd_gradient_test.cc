// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"

namespace longwave::ops {
namespace {

using testing::compare_sums;
using testing::empty;
using testing::kSsdCases;
using testing::name;
using testing::same_bits;
using testing::SsdCase;
using testing::SsdProblem;
using testing::step_magnitude;
using testing::Worst;

TEST(SsdBackward, BackendsAgree) {
  for (const SsdCase& c : kSsdCases) {
    SCOPED_TRACE(name(c.size));
    SsdProblem<float> kernel(c.size, c.options, 2);
    SsdProblem<double> oracle(c.size, c.options, 2), positive = oracle;
    positive.make_positive();
    kernel.backward();
    ssd_backward_ref(oracle.grad_args());
    ssd_backward_ref(positive.grad_args());
    Worst worst("gradients");
    compare_sums(worst, oracle.dx, kernel.dx, positive.dx);
    compare_sums(worst, oracle.dB, kernel.dB, positive.dB);
    compare_sums(worst, oracle.dC, kernel.dC, positive.dC);
    compare_sums(worst, oracle.dD, kernel.dD, positive.dD);
    compare_sums(worst, oracle.dA, kernel.dA, positive.dA);
    compare_sums(worst, oracle.dh0, kernel.dh0, positive.dh0);
    const std::vector<double> steps = step_magnitude(positive);
    compare_sums(worst, oracle.ddt, kernel.ddt, steps);
    std::vector<double> bias(oracle.ddt_bias.size(), 0.0);
    for (size_t i = 0; i < steps.size() && !bias.empty(); ++i) bias[i % bias.size()] += steps[i];
    compare_sums(worst, oracle.ddt_bias, kernel.ddt_bias, bias);
    EXPECT_TRUE(empty(c.size) || worst.ok());
  }
}

void expect_same_bits(const SsdProblem<float>& x, const SsdProblem<float>& y) {
  EXPECT_TRUE(same_bits(x.dx, y.dx));
  EXPECT_TRUE(same_bits(x.ddt, y.ddt));
  EXPECT_TRUE(same_bits(x.dA, y.dA));
  EXPECT_TRUE(same_bits(x.dB, y.dB));
  EXPECT_TRUE(same_bits(x.dC, y.dC));
  EXPECT_TRUE(same_bits(x.dD, y.dD));
  EXPECT_TRUE(same_bits(x.ddt_bias, y.ddt_bias));
  EXPECT_TRUE(same_bits(x.dh0, y.dh0));
}

TEST(SsdBackward, ThreadsChangeNoBits) {
  const SsdSize size{3, 150, 6, 20, 2, 24};
  SsdProblem<float> first(size, {.skips = 2, .starts = true}, 3);
  const int before = thread_count();
  set_thread_count(1);
  first.backward();
  for (const int threads : {2, 3, 7}) {
    set_thread_count(threads);
    SsdProblem<float> other(size, {.skips = 2, .starts = true}, 3);
    other.backward();
    expect_same_bits(first, other);
  }
  set_thread_count(before);
}

// The gradients of steps [begin, end) alone; those of the final state count if they are the last.
void run_part(SsdProblem<float>& problem, int64_t begin, int64_t end) {
  const int64_t count = end - begin;
  SsdGradArgs<float> args = problem.grad_args();
  for (auto* view : {&args.x, &args.B, &args.C, &args.dy}) *view = view->slice(1, begin, count);
  for (auto* view : {&args.dx, &args.dB, &args.dC}) *view = view->slice(1, begin, count);
  args.dt = args.dt.slice(1, begin, count);
  args.ddt = args.ddt.slice(1, begin, count);
  args.starts = {};
  args.h0 = {};
  if (end < problem.size.time) args.dh = {};
  SsdSize size = problem.size;
  size.time = count;
  Workspace workspace(ssd_backward_workspace_bytes(size));
  ssd_backward(args, workspace);
}

TEST(SsdBackward, PackedSequencesEqualSeparateOnes) {
  const SsdSize size{1, 1300, 2, 12, 1, 10};
  SsdProblem<float> packed(size, {}, 7), separate(size, {}, 7);
  const std::array<int64_t, 6> begins{0, 30, 33, 34, 1200, 1300};
  packed.starts.assign(size.time, 0);
  for (size_t i = 0; i + 1 < begins.size(); ++i) packed.starts[begins[i]] = 1;
  packed.backward();
  for (size_t i = 0; i + 1 < begins.size(); ++i) run_part(separate, begins[i], begins[i + 1]);
  EXPECT_TRUE(same_bits(packed.dx, separate.dx));
  EXPECT_TRUE(same_bits(packed.ddt, separate.ddt));
  EXPECT_TRUE(same_bits(packed.dB, separate.dB));
  EXPECT_TRUE(same_bits(packed.dC, separate.dC));
}

TEST(SsdBackward, NothingPassesAStart) {
  const SsdSize size{1, 150, 2, 8, 1, 12};
  for (const int64_t start : {0, 1, 64, 100}) {
    SsdProblem<float> all(size, {}, 4);
    all.starts.assign(size.time, 0);
    all.starts[start] = 1;
    // Before the start there is only what no gradient reaches.
    std::fill_n(all.dy.begin(), start * size.heads * size.head_dim, 0.0f);
    all.backward();
    const auto zero = [](const std::vector<float>& numbers, int64_t count) {
      return std::all_of(numbers.begin(), numbers.begin() + count, [](float x) { return x == 0; });
    };
    EXPECT_TRUE(zero(all.dx, start * size.heads * size.head_dim)) << start;
    EXPECT_TRUE(zero(all.ddt, start * size.heads)) << start;
    EXPECT_TRUE(zero(all.dB, start * size.state)) << start;
    EXPECT_TRUE(zero(all.dh0, static_cast<int64_t>(all.dh0.size()))) << start;
  }
}

TEST(SsdBackward, AbsentStatesAreZeros) {
  const SsdSize size{2, 70, 2, 9, 1, 11};
  SsdProblem<float> zeros(size, {}, 5), absent = zeros;
  for (SsdProblem<float>* problem : {&zeros, &absent}) {
    std::fill(problem->h.begin(), problem->h.end(), 0.0f);
    std::fill(problem->dh.begin(), problem->dh.end(), 0.0f);
  }
  zeros.backward();
  SsdGradArgs<float> args = absent.grad_args();
  args.h0 = {};
  args.dh = {};
  Workspace workspace(ssd_backward_workspace_bytes(size));
  ssd_backward(args, workspace);
  expect_same_bits(zeros, absent);
}

TEST(SsdBackward, RejectsBadShapes) {
  const SsdSize size{2, 5, 4, 3, 2, 6};
  const auto complains = [&](const auto& change) {
    SsdProblem<float> problem(size, {.starts = true}, 6);
    SsdGradArgs<float> args = problem.grad_args();
    change(args);
    Workspace workspace(ssd_backward_workspace_bytes(size));
    try {
      ssd_backward(args, workspace);
    } catch (const InvalidArgument&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(complains([](auto&) {}));
  EXPECT_TRUE(complains([](auto& args) { args.dx = args.dx.slice(1, 0, 4); }));
  EXPECT_TRUE(complains([](auto& args) { args.dB = args.dB.slice(3, 0, 4); }));
  EXPECT_TRUE(complains([](auto& args) { args.dh = args.dh.slice(3, 0, 4); }));
  EXPECT_TRUE(complains([](auto& args) { args.dD = {}; }));
  EXPECT_TRUE(complains([](auto& args) { args.dt_bias = {}; }));
}

}  // namespace
}  // namespace longwave::ops
