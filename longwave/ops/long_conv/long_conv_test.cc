// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/long_conv.h"

#include <gtest/gtest.h>

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

struct Case {
  int64_t batch, time, channels, taps, taps_ahead;
};

constexpr Case kCases[] = {
    {1, 1, 1, 1, 0},      {2, 1, 3, 4, 2},        {3, 2, 5, 2, 0},       {1, 3, 17, 3, 3},
    {2, 7, 16, 7, 0},     {2, 31, 33, 31, 40},    {1, 100, 20, 37, 0},   {2, 100, 4, 150, 9},
    {1, 129, 40, 129, 0}, {2, 256, 16, 256, 256}, {1, 700, 7, 700, 699}, {1, 1500, 2, 1500, 0},
    {0, 8, 4, 8, 0},      {2, 0, 4, 8, 0},        {2, 8, 0, 8, 0},       {2, 8, 4, 0, 0},
};

std::vector<float> noise(int64_t count, uint64_t stream) {
  Random random(7, stream);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& x : result) x = static_cast<float>(random.normal());
  return result;
}

template <typename T>
std::vector<T> poison(int64_t count) {
  return std::vector<T>(static_cast<size_t>(count), std::numeric_limits<T>::quiet_NaN());
}

/// All operands of a case; `T` is the type that the operator runs in.
template <typename T>
struct Operands {
  explicit Operands(const Case& c, bool skip = true)
      : shape(c),
        u(copy(c.batch * c.time * c.channels, 1)),
        K(copy(c.channels * c.taps, 2)),
        K_ahead(copy(c.channels * c.taps_ahead, 3)),
        d(copy(skip ? c.channels : 0, 4)),
        dy(copy(c.batch * c.time * c.channels, 5)),
        y(poison<T>(c.batch * c.time * c.channels)),
        du(y),
        dK(poison<T>(c.channels * c.taps)),
        dK_ahead(poison<T>(c.channels * c.taps_ahead)),
        dd(poison<T>(skip ? c.channels : 0)),
        plan(long_conv_plan(c.time)) {}

  LongConvArgs<T> forward() {
    return {.u = sequence(u),
            .K = kernel(K, shape.taps),
            .K_ahead = ahead(K_ahead),
            .d = row(d),
            .y = sequence(y),
            .plan = &plan};
  }
  LongConvGradArgs<T> backward() {
    return {.u = sequence(u),
            .K = kernel(K, shape.taps),
            .K_ahead = ahead(K_ahead),
            .d = row(d),
            .dy = sequence(dy),
            .du = sequence(du),
            .dK = kernel(dK, shape.taps),
            .dK_ahead = ahead(dK_ahead),
            .dd = row(dd),
            .plan = &plan};
  }

  Case shape;
  std::vector<T> u, K, K_ahead, d, dy, y, du, dK, dK_ahead, dd;
  FftPlan plan;

 private:
  static std::vector<T> copy(int64_t count, uint64_t stream) {
    const std::vector<float> values = noise(count, stream);
    return std::vector<T>(values.begin(), values.end());
  }
  View<T, 3> sequence(std::vector<T>& x) {
    return {x.data(), {shape.batch, shape.time, shape.channels}};
  }
  View<T, 2> kernel(std::vector<T>& x, int64_t taps) { return {x.data(), {shape.channels, taps}}; }
  View<T, 2> ahead(std::vector<T>& x) {
    return shape.taps_ahead > 0 ? kernel(x, shape.taps_ahead) : View<T, 2>();
  }
  View<T, 1> row(std::vector<T>& x) {
    return x.empty() ? View<T, 1>() : View<T, 1>(x.data(), {shape.channels});
  }
};

/// Errors are relative to the 2-norms of the two factors, whatever the size of one output.
Tolerance bound(double terms_left, double terms_right) {
  return Tolerance::sum<float>(64, std::sqrt(terms_left * terms_right) + 1);
}

template <typename A, typename B>
void compare(Worst& worst, const std::vector<A>& expected, const std::vector<B>& got,
             Tolerance tolerance) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], tolerance);
  }
}

TEST(LongConv, BackendsAgree) {
  Worst worst("y");
  for (const Case& c : kCases) {
    for (bool skip : {true, false}) {
      Operands<float> fast(c, skip);
      Operands<double> slow(c, skip);
      Workspace workspace(long_conv_workspace_bytes(c.time));
      Workspace none(0);
      long_conv(fast.forward(), workspace);
      long_conv(slow.forward(), none);
      compare(worst, slow.y, fast.y,
              bound(static_cast<double>(c.time), static_cast<double>(c.taps + c.taps_ahead)));
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LongConv, GradientsOfBackendsAgree) {
  Worst of_u("du"), of_K("dK"), of_d("dd");
  for (const Case& c : kCases) {
    Operands<float> fast(c);
    Operands<double> slow(c);
    Workspace workspace(long_conv_workspace_bytes(c.time));
    Workspace none(0);
    long_conv_grad(fast.backward(), workspace);
    long_conv_grad(slow.backward(), none);
    const double samples = static_cast<double>(c.time * c.batch);
    compare(of_u, slow.du, fast.du,
            bound(static_cast<double>(c.time), static_cast<double>(c.taps + c.taps_ahead)));
    compare(of_K, slow.dK, fast.dK, bound(samples, static_cast<double>(c.time)));
    compare(of_K, slow.dK_ahead, fast.dK_ahead, bound(samples, static_cast<double>(c.time)));
    compare(of_d, slow.dd, fast.dd, bound(samples, samples));
  }
  EXPECT_TRUE(of_u.ok());
  EXPECT_TRUE(of_K.ok());
  EXPECT_TRUE(of_d.ok());
}

TEST(LongConv, ReferenceGradientMatchesFiniteDifference) {
  const Case c{2, 9, 2, 6, 4};
  Operands<double> x(c);
  long_conv_grad_ref(x.backward());
  const auto loss = [&] {
    long_conv_ref(x.forward());
    double sum = 0;
    for (size_t i = 0; i < x.y.size(); ++i) sum += x.dy[i] * x.y[i];
    return sum;
  };
  // The loss is linear in each operand, so that a large step is exact.
  constexpr double kStep = 0.5;
  const auto check = [&](std::vector<double>& operand, const std::vector<double>& gradient) {
    for (size_t i = 0; i < operand.size(); ++i) {
      const double kept = operand[i];
      operand[i] = kept + kStep;
      const double above = loss();
      operand[i] = kept - kStep;
      const double below = loss();
      operand[i] = kept;
      EXPECT_NEAR(above - below, gradient[i], Tolerance::sum<double>(64, 100).bound);
    }
  };
  check(x.u, x.du);
  check(x.K, x.dK);
  check(x.K_ahead, x.dK_ahead);
  check(x.d, x.dd);
}

TEST(LongConv, TakesAnyStrides) {
  const Case c{2, 40, 18, 30, 20};
  Operands<float> plain(c), turned(c);
  Workspace workspace(long_conv_workspace_bytes(c.time));
  long_conv(plain.forward(), workspace);
  long_conv_grad(plain.backward(), workspace);
  // The same numbers with time adjacent: (batch, channels, time) in memory.
  const View<float, 3>::Extents extents{c.batch, c.time, c.channels};
  const View<float, 3>::Extents strides{c.time * c.channels, 1, c.time};
  const auto transposed = [&](std::vector<float>& memory, const std::vector<float>& values) {
    const View<float, 3> target(memory.data(), extents, strides);
    const View<const float, 3> source(values.data(), extents);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t t = 0; t < c.time; ++t) {
        for (int64_t i = 0; i < c.channels; ++i) target(b, t, i) = source(b, t, i);
      }
    }
    return target;
  };
  std::vector<float> expected = plain.y;
  std::vector<float> u = plain.u, dy = plain.dy, y = turned.y, du = turned.du;
  LongConvArgs<float> args = turned.forward();
  args.u = transposed(u, plain.u);
  args.y = {y.data(), extents, strides};
  long_conv(args, workspace);
  transposed(expected, plain.y);
  EXPECT_EQ(y, expected);
  LongConvGradArgs<float> grad = turned.backward();
  grad.u = args.u;
  grad.dy = transposed(dy, plain.dy);
  grad.du = {du.data(), extents, strides};
  long_conv_grad(grad, workspace);
  transposed(expected, plain.du);
  EXPECT_EQ(du, expected);
  EXPECT_EQ(turned.dK, plain.dK);
}

TEST(LongConv, ShiftedInputGivesShiftedOutput) {
  const Case c{1, 300, 16, 300, 0};
  constexpr int64_t kShift = 37;
  Operands<float> x(c, false), shifted(c, false);
  const int64_t offset = kShift * c.channels;
  std::fill(shifted.u.begin(), shifted.u.begin() + offset, 0.0f);
  std::copy(x.u.begin(), x.u.end() - offset, shifted.u.begin() + offset);
  Workspace workspace(long_conv_workspace_bytes(c.time));
  long_conv(x.forward(), workspace);
  long_conv(shifted.forward(), workspace);
  Worst worst("y");
  for (size_t i = 0; i < x.y.size(); ++i) {
    const bool early = i < static_cast<size_t>(offset);
    worst.compare(static_cast<int64_t>(i), early ? 0.0f : x.y[i - static_cast<size_t>(offset)],
                  shifted.y[i], bound(static_cast<double>(c.time), static_cast<double>(c.taps)));
  }
  EXPECT_TRUE(worst.ok());
}

TEST(LongConv, SequenceAloneEqualsSequenceInBatch) {
  const Case c{3, 90, 20, 90, 0};
  Operands<float> all(c);
  Workspace workspace(long_conv_workspace_bytes(c.time));
  long_conv(all.forward(), workspace);
  std::vector<float> alone = poison<float>(c.time * c.channels);
  LongConvArgs<float> args = all.forward();
  args.u = args.u.slice(0, 2, 1);
  args.y = {alone.data(), {1, c.time, c.channels}};
  long_conv(args, workspace);
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.y.begin() + 2 * c.time * c.channels));
}

TEST(LongConv, ResultDoesNotDependOnThreads) {
  const Case c{2, 120, 70, 120, 60};
  Operands<float> many(c), one(c);
  Workspace workspace(long_conv_workspace_bytes(c.time));
  long_conv(many.forward(), workspace);
  long_conv_grad(many.backward(), workspace);
  Workspace narrow(long_conv_worker_bytes(c.time));
  long_conv(one.forward(), narrow);
  long_conv_grad(one.backward(), narrow);
  EXPECT_EQ(many.y, one.y);
  EXPECT_EQ(many.du, one.du);
  EXPECT_EQ(many.dK, one.dK);
  EXPECT_EQ(many.dd, one.dd);
}

TEST(LongConv, RejectsBadShapes) {
  const Case c{2, 16, 4, 16, 0};
  Operands<float> x(c);
  Workspace workspace(long_conv_workspace_bytes(c.time));
  LongConvArgs<float> args = x.forward();
  args.K = args.K.slice(0, 0, 3);
  EXPECT_THROW(long_conv(args, workspace), InvalidArgument);
  args = x.forward();
  args.plan = nullptr;
  EXPECT_THROW(long_conv(args, workspace), InvalidArgument);
  const FftPlan cyclic(16);
  args.plan = &cyclic;
  EXPECT_THROW(long_conv(args, workspace), InvalidArgument);
  args = x.forward();
  args.y = args.y.slice(1, 0, 15);
  EXPECT_THROW(long_conv(args, workspace), InvalidArgument);
  args = x.forward();
  Workspace small(64);
  EXPECT_THROW(long_conv(args, small), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
