// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"

namespace longwave::ops {
namespace {

using testing::compare_sums;
using testing::empty;
using testing::kSsdCases;
using testing::name;
using testing::same_bits;
using testing::SsdCase;
using testing::SsdOptions;
using testing::SsdProblem;
using testing::Tolerance;
using testing::Worst;

TEST(Ssd, BackendsAgree) {
  for (const SsdCase& c : kSsdCases) {
    SCOPED_TRACE(name(c.size));
    SsdProblem<float> kernel(c.size, c.options, 1);
    SsdProblem<double> oracle(c.size, c.options, 1), positive = oracle;
    positive.make_positive();
    kernel.forward();
    ssd_ref(oracle.args());
    ssd_ref(positive.args());
    Worst worst("y and h");
    compare_sums(worst, oracle.y, kernel.y, positive.y);
    compare_sums(worst, oracle.h, kernel.h, positive.h);
    EXPECT_TRUE(empty(c.size) || c.size.time * c.size.state == 0 || worst.ok());
  }
}

// Steps [begin, begin + count) of a problem, from and to the state that the problem holds.
void run_part(SsdProblem<float>& problem, int64_t begin, int64_t count) {
  SsdArgs<float> args = problem.args();
  args.x = args.x.slice(1, begin, count);
  args.dt = args.dt.slice(1, begin, count);
  args.B = args.B.slice(1, begin, count);
  args.C = args.C.slice(1, begin, count);
  if (!args.starts.absent()) args.starts = args.starts.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  Workspace workspace(
      ssd_workspace_bytes({problem.size.batch, count, problem.size.heads, problem.size.head_dim,
                           problem.size.groups, problem.size.state}));
  ssd(args, workspace);
}

TEST(Ssd, SplitInvariance) {
  const SsdSize size{2, 150, 4, 20, 2, 24};
  for (const bool starts : {false, true}) {
    const SsdOptions options{.starts = starts};
    SsdProblem<float> whole(size, options, 3);
    SsdProblem<double> positive(size, options, 3);
    positive.make_positive();
    whole.forward();
    ssd_ref(positive.args());
    const std::vector<double> y(whole.y.begin(), whole.y.end()), h(whole.h.begin(), whole.h.end());
    Worst worst("y and h in two parts");
    for (const int64_t cut : {0, 1, 2, 63, 64, 65, 100, 149, 150}) {
      SsdProblem<float> parts(size, options, 3);
      run_part(parts, 0, cut);
      run_part(parts, cut, size.time - cut);
      compare_sums(worst, y, parts.y, positive.y);
      compare_sums(worst, h, parts.h, positive.h);
      if (cut % kSsdChunk == 0 && !starts) {
        EXPECT_TRUE(same_bits(whole.y, parts.y));
      }
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Ssd, StepEqualsPrefill) {
  for (const SsdSize& size : {SsdSize{2, 90, 4, 5, 2, 7}, SsdSize{1, 70, 3, 64, 1, 128}}) {
    const SsdOptions options{.skips = 2, .starts = true, .limits = true};
    SsdProblem<float> whole(size, options, 4), steps = whole;
    SsdProblem<double> positive(size, options, 4);
    positive.make_positive();
    whole.forward();
    ssd_ref(positive.args());
    for (int64_t t = 0; t < size.time; ++t) {
      SsdArgs<float> args = steps.args();
      args.x = args.x.slice(1, t, 1);
      args.dt = args.dt.slice(1, t, 1);
      args.B = args.B.slice(1, t, 1);
      args.C = args.C.slice(1, t, 1);
      args.starts = args.starts.slice(1, t, 1);
      args.y = args.y.slice(1, t, 1);
      ssd_step(args);
    }
    Worst worst("y and h of steps");
    compare_sums(worst, {whole.y.begin(), whole.y.end()}, steps.y, positive.y);
    compare_sums(worst, {whole.h.begin(), whole.h.end()}, steps.h, positive.h);
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Ssd, Causality) {
  const SsdSize size{1, 140, 2, 17, 1, 19};
  SsdProblem<float> before(size, {}, 5);
  for (const int64_t change : {1, 30, 64, 139}) {
    SsdProblem<float> after(size, {}, 5), fresh = after;
    fresh.forward();
    const auto tail = [&](std::vector<float>& numbers, int64_t width) {
      for (size_t i = change * width; i < numbers.size(); ++i) numbers[i] += 1.5f;
    };
    tail(after.x, size.heads * size.head_dim);
    tail(after.dt, size.heads);
    tail(after.B, size.groups * size.state);
    tail(after.C, size.groups * size.state);
    after.forward();
    const size_t bytes = change * size.heads * size.head_dim * sizeof(float);
    EXPECT_EQ(std::memcmp(fresh.y.data(), after.y.data(), bytes), 0) << "step " << change;
  }
}

TEST(Ssd, BatchInvariance) {
  const SsdSize size{3, 100, 4, 12, 2, 10}, one{1, 100, 4, 12, 2, 10};
  SsdProblem<float> all(size, {.starts = true}, 6), alone(size, {.starts = true}, 6);
  all.forward();
  for (int64_t b = 0; b < size.batch; ++b) {
    SsdArgs<float> args = alone.args();
    args.x = args.x.slice(0, b, 1);
    args.dt = args.dt.slice(0, b, 1);
    args.B = args.B.slice(0, b, 1);
    args.C = args.C.slice(0, b, 1);
    args.starts = args.starts.slice(0, b, 1);
    args.h = args.h.slice(0, b, 1);
    args.y = args.y.slice(0, b, 1);
    Workspace workspace(ssd_workspace_bytes(one));
    ssd(args, workspace);
  }
  EXPECT_TRUE(same_bits(all.y, alone.y));
  EXPECT_TRUE(same_bits(all.h, alone.h));
}

TEST(Ssd, PackedSequencesEqualSeparateOnes) {
  const SsdSize size{1, 210, 4, 12, 2, 10};
  SsdProblem<float> packed(size, {}, 7), separate(size, {}, 7);
  const std::array<int64_t, 5> begins{0, 30, 33, 170, 210};
  packed.starts.assign(size.time, 0);
  for (size_t i = 0; i + 1 < begins.size(); ++i) packed.starts[begins[i]] = 1;
  // What the state held, and what other sequences hold, must not matter.
  std::fill(packed.h.begin(), packed.h.end(), std::numeric_limits<float>::quiet_NaN());
  packed.forward();
  for (size_t i = 0; i + 1 < begins.size(); ++i) {
    std::fill(separate.h.begin(), separate.h.end(), 0.0f);
    run_part(separate, begins[i], begins[i + 1] - begins[i]);
  }
  EXPECT_TRUE(same_bits(packed.y, separate.y));
  EXPECT_TRUE(same_bits(packed.h, separate.h));
}

TEST(Ssd, ThreadsChangeNoBits) {
  const SsdSize size{2, 150, 6, 20, 2, 24};
  SsdProblem<float> first(size, {.starts = true}, 8);
  const int before = thread_count();
  set_thread_count(1);
  first.forward();
  for (const int threads : {2, 3, 7}) {
    set_thread_count(threads);
    SsdProblem<float> other(size, {.starts = true}, 8);
    other.forward();
    EXPECT_TRUE(same_bits(first.y, other.y));
    EXPECT_TRUE(same_bits(first.h, other.h));
  }
  set_thread_count(before);
}

// The same numbers with a stride of two between adjacent ones.
template <int Rank>
View<const float, Rank> spread(std::vector<float>& memory, const View<const float, Rank>& view) {
  memory.assign(2 * view.size(), std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < view.size(); ++i) memory[2 * i] = view.data()[i];
  auto strides = view.strides();
  for (int64_t& stride : strides) stride *= 2;
  return {memory.data(), view.extents(), strides};
}

TEST(Ssd, StridedOperandsGiveTheSameBits) {
  for (const int64_t time : {1, 100}) {
    const SsdSize size{2, time, 4, 16, 2, 32};
    SsdProblem<float> dense(size, {.skips = 2}, 9), strided = dense;
    dense.forward();
    SsdArgs<float> args = strided.args();
    std::vector<float> x, dt, A, B, C, D, bias;
    args.x = spread(x, args.x);
    args.dt = spread(dt, args.dt);
    args.A = spread(A, args.A);
    args.B = spread(B, args.B);
    args.C = spread(C, args.C);
    args.D = spread(D, args.D);
    args.dt_bias = spread(bias, args.dt_bias);
    std::vector<float> y(2 * strided.y.size());
    args.y = {y.data(),
              args.y.extents(),
              {2 * args.y.stride(0), 2 * args.y.stride(1), 2 * args.y.stride(2), 2}};
    Workspace workspace(ssd_workspace_bytes(size));
    ssd(args, workspace);
    for (size_t i = 0; i < strided.y.size(); ++i) strided.y[i] = y[2 * i];
    Worst worst("strided operands");
    const Tolerance bound = time == 1 ? Tolerance::sum<float>(size.state, 30) : Tolerance{1e-30};
    for (size_t i = 0; i < y.size() / 2; ++i) {
      worst.compare(static_cast<int64_t>(i), dense.y[i], strided.y[i], bound);
    }
    EXPECT_TRUE(worst.ok());
  }
}

// What InvalidArgument says when the scan gets changed operands; empty if it does not complain.
template <typename Change>
std::string complaint(const Change& change) {
  const SsdSize size{2, 5, 4, 3, 2, 6};
  SsdProblem<float> problem(size, {.starts = true}, 10);
  SsdArgs<float> args = problem.args();
  change(args);
  Workspace workspace(ssd_workspace_bytes(size));
  try {
    ssd(args, workspace);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return {};
}

TEST(Ssd, RejectsBadShapes) {
  EXPECT_EQ(complaint([](auto&) {}), "");
  EXPECT_NE(complaint([](auto& args) { args.dt = args.dt.slice(1, 0, 4); }), "");
  EXPECT_NE(complaint([](auto& args) { args.A = args.A.slice(0, 0, 3); }), "");
  EXPECT_NE(complaint([](auto& args) { args.B = args.B.slice(3, 0, 5); }), "");
  EXPECT_NE(complaint([](auto& args) { args.C = args.C.slice(0, 0, 1); }), "");
  EXPECT_NE(complaint([](auto& args) { args.h = args.h.slice(3, 0, 5); }), "");
  EXPECT_NE(complaint([](auto& args) { args.y = args.y.slice(2, 0, 2); }), "");
  EXPECT_NE(complaint([](auto& args) { args.limits.most = -1; }), "");
  const std::string groups = complaint([](auto& args) { args.x = args.x.slice(2, 0, 3); });
  EXPECT_NE(groups.find("heads (3) must be a multiple of groups"), std::string::npos) << groups;
}

}  // namespace
}  // namespace longwave::ops
