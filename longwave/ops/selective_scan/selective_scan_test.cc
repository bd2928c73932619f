// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/testing/allocation_count.h"
#include "longwave/ops/elementwise/elementwise.h"
#include "longwave/ops/selective_scan/selective_scan_ref.h"
#include "longwave/ops/selective_scan/testing/selective_agree.h"
#include "longwave/ops/selective_scan/testing/selective_problem.h"

namespace longwave::ops {
namespace {

using testing::agree;
using testing::kSelectiveSizes;
using testing::kSelectiveVariants;
using testing::name;
using testing::output_terms;
using testing::Tolerance;
using testing::Worst;
using Size = testing::SelectiveSize;
using Variant = testing::SelectiveVariant;
template <typename T>
using Problem = testing::SelectiveProblem<T>;

constexpr Variant kPacked = {StepSize::kSoftplus, Variant::Optional::kAll,
                             Variant::Packing::kStarts};

template <typename T>
void expect_outputs(const Problem<T>& expected, const Problem<float>& got) {
  const int64_t terms = output_terms(got.size);
  EXPECT_TRUE(agree<float>(name(got.size) + " y", expected.y, got.y, terms));
  EXPECT_TRUE(agree<float>(name(got.size) + " h", expected.h, got.h, terms));
}

// The same operands for steps [begin, begin + count), without states.
template <typename T>
SelectiveScanArgs<T> steps(SelectiveScanArgs<T> args, int64_t begin, int64_t count) {
  SelectiveScanInputs<T>& in = args.in;
  for (auto* view : {&in.u, &in.dt}) *view = view->slice(1, begin, count);
  for (auto* view : {&in.B, &in.C}) *view = view->slice(1, begin, count);
  if (!in.z.absent()) in.z = in.z.slice(1, begin, count);
  if (!in.starts.absent()) in.starts = in.starts.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  args.states = {};
  return args;
}

// The same operands for one sequence.
template <typename T>
SelectiveScanArgs<T> sequence(SelectiveScanArgs<T> args, int64_t b) {
  SelectiveScanInputs<T>& in = args.in;
  for (auto* view : {&in.u, &in.dt}) *view = view->slice(0, b, 1);
  for (auto* view : {&in.B, &in.C}) *view = view->slice(0, b, 1);
  if (!in.z.absent()) in.z = in.z.slice(0, b, 1);
  if (!in.starts.absent()) in.starts = in.starts.slice(0, b, 1);
  args.h = args.h.slice(0, b, 1);
  args.y = args.y.slice(0, b, 1);
  args.states = {};
  return args;
}

TEST(SelectiveScan, BackendsAgree) {
  for (const Size& size : kSelectiveSizes) {
    for (const Variant& variant : kSelectiveVariants) {
      for (uint64_t seed = 0; seed < 2; ++seed) {
        Problem<float> kernel(size, seed, variant);
        Problem<double> oracle(size, seed, variant);
        kernel.forward();
        oracle.forward();
        expect_outputs(oracle, kernel);
        EXPECT_TRUE(
            agree<float>(name(size) + " states", oracle.states, kernel.states, output_terms(size)));
      }
    }
  }
}

TEST(SelectiveScan, SplitInvariance) {
  for (const Size& size : {Size{2, 130, 20, 1, 16}, Size{1, 70, 34, 2, 21}}) {
    Problem<float> whole(size, 2, kPacked);
    whole.forward();
    for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{33}, size.time - 1, size.time}) {
      Problem<float> parts(size, 2, kPacked);
      const auto all = parts.args();
      parts.run(steps(all, 0, cut));
      parts.run(steps(all, cut, size.time - cut));
      EXPECT_EQ(whole.y, parts.y) << name(size) << " cut at " << cut;
      EXPECT_EQ(whole.h, parts.h) << name(size) << " cut at " << cut;
    }
  }
}

TEST(SelectiveScan, StepEqualsPrefill) {
  for (const Size& size : {Size{2, 40, 20, 1, 16}, Size{1, 20, 33, 3, 5}, Size{3, 9, 1, 1, 70}}) {
    for (const Variant& variant : kSelectiveVariants) {
      Problem<float> whole(size, 4, variant), streamed(size, 4, variant);
      whole.forward();
      for (int64_t t = 0; t < size.time; ++t) {
        selective_scan_step(steps(streamed.args(), t, 1));
      }
      expect_outputs(whole, streamed);
    }
  }
}

TEST(SelectiveScan, ConstantOperandsGiveAConvolution) {
  // With constant s, B and C the scan is time-invariant: y = K * u, K[i] = sum C exp(s A i) s B.
  const Size size{1, 80, 3, 1, 4};
  const Variant given{StepSize::kGiven, Variant::Optional::kNone, Variant::Packing::kNone};
  Problem<double> problem(size, 1, given);
  for (size_t i = 0; i < problem.dt.size(); ++i) problem.dt[i] = 0.1;
  for (size_t i = 0; i < problem.B.size(); ++i) {
    problem.B[i] = 1 + i % 4;
    problem.C[i] = 2 - static_cast<double>(i % 4);
  }
  std::fill(problem.h.begin(), problem.h.end(), 0.0);
  problem.forward();
  const auto args = problem.args();
  std::vector<double> expected;
  for (int64_t t = 0; t < size.time; ++t) {
    for (int64_t c = 0; c < size.channels; ++c) {
      double y = 0;
      for (int64_t lag = 0; lag <= t; ++lag) {
        for (int64_t n = 0; n < size.state; ++n) {
          y += args.in.C(0, 0, 0, n) * std::exp(0.1 * args.in.A(c, n) * double(lag)) * 0.1 *
               args.in.B(0, 0, 0, n) * args.in.u(0, t - lag, c);
        }
      }
      expected.push_back(y);
    }
  }
  EXPECT_TRUE(agree<double>("convolution", expected, problem.y, 80 * output_terms(size)));
}

TEST(SelectiveScan, PackedEqualsSeparate) {
  const Size size{1, 150, 37, 1, 16};
  const std::vector<int64_t> firsts = {0, 1, 40, 64, 101, 150};
  Problem<float> packed(size, 5, kPacked), apart(size, 5, kPacked);
  std::fill(packed.starts.begin(), packed.starts.end(), uint8_t{0});
  std::fill(apart.starts.begin(), apart.starts.end(), uint8_t{0});
  for (size_t i = 0; i + 1 < firsts.size(); ++i) packed.starts[firsts[i]] = 7;
  // What preceded a sequence must not matter, whatever it was.
  std::fill(packed.h.begin(), packed.h.end(), std::numeric_limits<float>::infinity());
  packed.forward();
  for (size_t i = 0; i + 1 < firsts.size(); ++i) {
    std::fill(apart.h.begin(), apart.h.end(), 0.0f);
    apart.run(steps(apart.args(), firsts[i], firsts[i + 1] - firsts[i]));
  }
  EXPECT_EQ(packed.y, apart.y);
  EXPECT_EQ(packed.h, apart.h);
}

TEST(SelectiveScan, Causality) {
  const Size size{2, 100, 37, 1, 16};
  Problem<float> before(size, 5), after(size, 5);
  const int64_t changed = 67;
  const int64_t place = changed * size.channels;
  for (int64_t c = 0; c < size.channels; ++c) after.u[place + c] += 1.0f;
  for (int64_t c = 0; c < size.channels; ++c) after.dt[place + c] += 1.0f;
  before.forward();
  after.forward();
  for (int64_t i = 0; i < place; ++i) ASSERT_EQ(before.y[i], after.y[i]) << i;
  EXPECT_NE(before.y[place], after.y[place]);
}

TEST(SelectiveScan, BatchInvariance) {
  for (const Size& size : {Size{5, 70, 3, 1, 8}, Size{3, 40, 70, 2, 16}}) {
    Problem<float> together(size, 6), alone(size, 6);
    together.forward();
    for (int64_t b = 0; b < size.batch; ++b) alone.run(sequence(alone.args(), b));
    EXPECT_EQ(together.y, alone.y) << name(size);
    EXPECT_EQ(together.h, alone.h) << name(size);
  }
}

TEST(SelectiveScan, SameSeedSameBits) {
  const int former = thread_count();
  for (const Size& size : kSelectiveSizes) {
    Problem<float> one(size, 9, kPacked), many(size, 9, kPacked);
    set_thread_count(1);
    one.both();
    set_thread_count(3);
    many.both();
    EXPECT_EQ(one.y, many.y) << name(size);
    EXPECT_EQ(one.h, many.h) << name(size);
    const auto expected = one.gradients(), got = many.gradients();
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(*expected[i].second, *got[i].second) << name(size) << " " << got[i].first;
    }
  }
  set_thread_count(former);
}

TEST(SelectiveScan, HalvesOfOneProjectionNeedNoCopies) {
  const Size size{2, 50, 21, 1, 16};
  Problem<float> dense(size, 7), strided(size, 7);
  dense.forward();
  std::vector<float> projection, transposed;
  for (size_t i = 0; i < dense.u.size(); i += size.channels) {
    for (const auto* part : {&dense.u, &dense.z}) {
      projection.insert(projection.end(), part->begin() + i, part->begin() + i + size.channels);
    }
  }
  // dt lies channels first, the rows of B and C apart and their numbers backwards.
  transposed.resize(dense.dt.size());
  auto args = strided.args();
  const SelectiveScanInputs<float> in = args.in;
  const int64_t row = 2 * size.channels;
  args.in.u = {projection.data(), in.u.extents(), {size.time * row, row, 1}};
  args.in.z = {projection.data() + size.channels, in.u.extents(), {size.time * row, row, 1}};
  View<float, 3> dt(transposed.data(), in.u.extents(), {size.time * size.channels, 1, size.time});
  for (int64_t b = 0; b < size.batch; ++b) {
    for (int64_t t = 0; t < size.time; ++t) {
      for (int64_t c = 0; c < size.channels; ++c) dt(b, t, c) = in.dt(b, t, c);
    }
  }
  args.in.dt = dt;
  std::vector<float> backwards(strided.B.rbegin(), strided.B.rend());
  args.in.B = {backwards.data() + backwards.size() - 1,
               in.B.extents(),
               {-in.B.stride(0), -in.B.stride(1), -in.B.stride(2), -1}};
  strided.run(args);
  EXPECT_EQ(dense.y, strided.y);
  EXPECT_EQ(dense.h, strided.h);
}

TEST(SelectiveScan, NeverAllocates) {
  Problem<float> one({2, 1, 40, 1, 16}, 15), longer({2, 300, 40, 1, 16}, 15);
  Workspace workspace(selective_scan_workspace_bytes(longer.scratch()) +
                      selective_scan_backward_workspace_bytes(longer.scratch()));
  const auto step = one.args();
  const auto scan = longer.args();
  const auto gradient = longer.grad_args();
  selective_scan(scan, workspace);
  const int64_t before = longwave::testing::allocation_count();
  selective_scan_step(step);
  selective_scan(scan, workspace);
  selective_scan_backward(gradient, workspace);
  EXPECT_EQ(longwave::testing::allocation_count(), before);
}

TEST(SelectiveScan, ExtremeStepsAreFine) {
  // Steps from e^-80 to 1000: no overflow, decays from 1 to nothing.
  const Size size{1, 60, 16, 1, 16};
  Problem<float> kernel(size, 8);
  Problem<double> oracle(size, 8);
  for (size_t i = 0; i < kernel.dt.size(); ++i) {
    kernel.dt[i] = i % 3 == 0 ? -80.0f + static_cast<float>(i % 80) : 0.05f * kernel.dt[i];
    if (i % 97 == 0) kernel.dt[i] = 1000.0f;
    oracle.dt[i] = kernel.dt[i];
  }
  kernel.forward();
  oracle.forward();
  expect_outputs(oracle, kernel);
}

// One step of one state a channel, h = exp(s A) h + s u B, from the given raw steps.
std::vector<float> one_step(const std::vector<float>& dt, StepSize step_size, float h, float u) {
  const auto channels = static_cast<int64_t>(dt.size());
  std::vector<float> signal(channels, u), A(channels, -1.0f), state(channels, h), y(channels);
  const std::vector<float> one = {1.0f};
  Workspace workspace(selective_scan_workspace_bytes({1, channels, 1, 1}));
  selective_scan(SelectiveScanArgs<float>{.in = {.step_size = step_size,
                                                 .u = {signal.data(), {1, 1, channels}},
                                                 .dt = {dt.data(), {1, 1, channels}},
                                                 .A = {A.data(), {channels, 1}},
                                                 .B = {one.data(), {1, 1, 1, 1}},
                                                 .C = {one.data(), {1, 1, 1, 1}},
                                                 .D = {},
                                                 .dt_bias = {},
                                                 .z = {},
                                                 .starts = {}},
                                          .h = {state.data(), {1, channels, 1}},
                                          .y = {y.data(), {1, 1, channels}},
                                          .states = {}},
                 workspace);
  return state;
}

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

TEST(SelectiveScan, DecaysStayWithinTheirBound) {
  std::vector<float> dt;
  for (int i = 0; i <= 20000; ++i) dt.push_back(87.0f * static_cast<float>(i) / 20000);
  for (int i = 0; i < 100; ++i) dt.push_back(std::ldexp(1.0f, -i));
  const std::vector<float> decay = one_step(dt, StepSize::kGiven, 1.0f, 0.0f);
  Worst worst("decay");
  for (size_t i = 0; i < dt.size(); ++i) {
    // The argument is the product of two rounded numbers, rounded once more.
    const double exact = std::exp(-static_cast<double>(dt[i]));
    worst.compare(static_cast<int64_t>(i), exact, decay[i],
                  Tolerance{exact * (kExpRelativeError + 1.5 * kEpsilon * dt[i])});
  }
  EXPECT_TRUE(worst.ok());
  EXPECT_EQ(one_step({0.0f}, StepSize::kGiven, 1.0f, 0.0f)[0], 1.0f);
}

TEST(SelectiveScan, SoftplusHasNoCutOff) {
  std::vector<float> dt;
  for (int i = 0; i <= 20000; ++i) dt.push_back(-86.0f + 200.0f * static_cast<float>(i) / 20000);
  const std::vector<float> steps = one_step(dt, StepSize::kSoftplus, 0.0f, 1.0f);
  Worst worst("softplus");
  for (size_t i = 0; i < dt.size(); ++i) {
    const double exact = softplus_ref(static_cast<double>(dt[i]));
    // The exponential, a division and a polynomial of degree 4.
    worst.compare(static_cast<int64_t>(i), exact, steps[i],
                  Tolerance{exact * (kExpRelativeError + 4 * kEpsilon)});
  }
  EXPECT_TRUE(worst.ok());
}

TEST(SelectiveScan, NanIsNeverSwallowed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Size size{1, 40, 16, 1, 16};
  for (int operand = 0; operand < 5; ++operand) {
    Problem<float> problem(size, 8);
    std::vector<float>* all[] = {&problem.u, &problem.dt, &problem.A, &problem.B, &problem.z};
    (*all[operand])[3] = nan;
    problem.forward();
    bool seen = false;
    for (const float y : problem.y) seen = seen || std::isnan(y);
    EXPECT_TRUE(seen) << "operand " << operand;
  }
}

TEST(SelectiveScan, RejectsBadShapes) {
  Problem<float> problem({2, 6, 4, 2, 3}, 10);
  Workspace workspace(selective_scan_workspace_bytes(problem.scratch()) +
                      selective_scan_backward_workspace_bytes(problem.scratch()));
  using Spoil = std::function<void(SelectiveScanArgs<float>&)>;
  const std::vector<Spoil> spoilers = {
      [](auto& args) { args.in.dt = args.in.dt.slice(1, 0, 5); },
      [](auto& args) { args.in.A = args.in.A.slice(0, 0, 3); },
      [](auto& args) { args.in.B = args.in.B.slice(2, 0, 1); },
      [](auto& args) { args.in.C = args.in.C.slice(3, 0, 2); },
      [](auto& args) { args.in.D = args.in.D.slice(0, 0, 2); },
      [](auto& args) { args.in.dt_bias = args.in.dt_bias.slice(0, 0, 2); },
      [](auto& args) { args.in.z = args.in.z.slice(2, 0, 2); },
      [](auto& args) { args.h = args.h.slice(1, 0, 2); },
      [](auto& args) { args.y = args.y.slice(0, 0, 1); },
      [](auto& args) { args.states = args.states.slice(2, 0, 1); }};
  for (const Spoil& spoil : spoilers) {
    auto args = problem.args();
    spoil(args);
    EXPECT_THROW(selective_scan(args, workspace), InvalidArgument);
  }
  EXPECT_THROW(selective_scan_step(problem.args()), InvalidArgument);
  auto grad = problem.grad_args();
  grad.dz = {};
  EXPECT_THROW(selective_scan_backward(grad, workspace), InvalidArgument);
  Problem<float> uneven({1, 4, 3, 2, 2}, 10);
  EXPECT_THROW(uneven.forward(), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
