// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/matmul/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/matmul/matmul_kernels.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

struct Size {
  int64_t rows, in, out;
};

constexpr Size kSizes[] = {{0, 3, 5},   {3, 0, 5},    {3, 5, 0},    {1, 1, 1},    {1, 7, 3},
                           {1, 16, 8},  {1, 64, 129}, {2, 33, 9},   {3, 17, 31},  {5, 96, 64},
                           {8, 100, 7}, {9, 100, 7},  {33, 40, 11}, {129, 31, 5}, {300, 64, 48}};

/// Operands with room between rows; y is poisoned.
struct Operands {
  std::vector<float> x, W, b, y;
  MatmulArgs<float> args;

  Operands(const Size& size, int64_t gap, uint64_t seed) {
    Random random(seed);
    const auto fill = [&](std::vector<float>& values, int64_t count) {
      values.resize(static_cast<size_t>(count));
      for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
    };
    fill(x, (size.in + gap) * size.rows);
    fill(W, (size.in + gap) * size.out);
    fill(b, size.out);
    y.assign(static_cast<size_t>((size.out + gap) * size.rows),
             std::numeric_limits<float>::quiet_NaN());
    args.x = {x.data(), {size.rows, size.in}, {size.in + gap, 1}};
    args.W = View<const float, 2>(W.data(), {size.out, size.in}, {size.in + gap, 1});
    args.b = {b.data(), {size.out}};
    args.y = {y.data(), {size.rows, size.out}, {size.out + gap, 1}};
  }
};

/// The formula in double.
double expected(const MatmulArgs<float>& args, int64_t r, int64_t o) {
  const View<const float, 2> W = args.W.floats();
  double sum = args.b.absent() ? 0.0 : args.b(o);
  for (int64_t i = 0; i < args.x.extent(1); ++i) {
    sum += static_cast<double>(args.x(r, i)) * W(o, i);
  }
  return sum;
}

void expect_product(const MatmulArgs<float>& args, double before = 0) {
  Worst worst("y");
  const Tolerance tolerance = Tolerance::sum<float>(args.x.extent(1) + 1, 2.0);
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t o = 0; o < args.y.extent(1); ++o) {
      worst.compare(r * args.y.extent(1) + o, before + expected(args, r, o), args.y(r, o),
                    tolerance);
    }
  }
  EXPECT_TRUE(args.y.size() == 0 || worst.ok());
}

TEST(Matmul, KernelsEqualTheFormula) {
  uint64_t seed = 0;
  for (const Size& size : kSizes) {
    for (int64_t gap : {0, 3}) {
      SCOPED_TRACE(::testing::Message() << size.rows << " x " << size.in << " x " << size.out);
      Operands operands(size, gap, ++seed);
      matmul(operands.args);
      expect_product(operands.args);
      operands.args.b = {};
      matmul(operands.args);
      expect_product(operands.args);
    }
  }
}

TEST(Matmul, DoubleIsTheFormula) {
  const std::vector<double> x = {1, 2, 3, 4}, W = {1, 0.5, -1, 2, 0, 1};
  std::vector<double> y(6, std::numeric_limits<double>::quiet_NaN());
  matmul(MatmulArgs<double>{
      .x = {x.data(), {2, 2}}, .W = {W.data(), {3, 2}}, .b = {}, .y = {y.data(), {2, 3}}});
  EXPECT_EQ(y, (std::vector<double>{2, 3, 2, 5, 5, 4}));
}

TEST(Matmul, AddingKeepsWhatTheOutputHeld) {
  for (const Size& size : kSizes) {
    Operands operands(size, 1, 7);
    std::ranges::fill(operands.y, 0.5f);
    operands.args.accumulate = Accumulate::kAdd;
    matmul(operands.args);
    expect_product(operands.args, 0.5);
  }
}

TEST(Matmul, AnyStridesAreAccepted) {
  Operands operands({5, 7, 6}, 0, 1);
  std::vector<float> x(5 * 7), y(5 * 6, std::numeric_limits<float>::quiet_NaN());
  for (int64_t r = 0; r < 5; ++r) {
    for (int64_t i = 0; i < 7; ++i) x[static_cast<size_t>(i * 5 + r)] = operands.args.x(r, i);
  }
  operands.args.x = {x.data(), {5, 7}, {1, 5}};
  operands.args.y = {y.data(), {5, 6}, {1, 5}};
  matmul(operands.args);
  expect_product(operands.args);
}

TEST(Matmul, ARowAloneEqualsTheRowAmongFew) {
  for (int64_t rows : {int64_t{2}, int64_t{3}, int64_t{5}, int64_t{7}, kMatmulFewRows}) {
    Operands many({rows, 45, 37}, 0, 3);
    matmul(many.args);
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> y(37, std::numeric_limits<float>::quiet_NaN());
      MatmulArgs<float> one = many.args;
      one.x = many.args.x.slice(0, r, 1);
      one.y = {y.data(), {1, 37}};
      matmul(one);
      for (int64_t o = 0; o < 37; ++o) EXPECT_EQ(y[static_cast<size_t>(o)], many.args.y(r, o));
    }
  }
}

TEST(Matmul, SameBitsForAnyNumberOfThreads) {
  for (const Size& size : {Size{1, 700, 900}, Size{100, 512, 600}, Size{700, 64, 65}}) {
    Operands one(size, 0, 5), two(size, 0, 5);
    const int threads = thread_count();
    set_thread_count(1);
    matmul(one.args);
    set_thread_count(2);
    matmul(two.args);
    set_thread_count(threads);
    EXPECT_EQ(one.y, two.y);
  }
}

TEST(Matmul, RejectsBadShapes) {
  Operands operands({2, 3, 4}, 0, 1);
  const MatmulArgs<float> good = operands.args;
  for (int operand = 0; operand < 4; ++operand) {
    MatmulArgs<float> bad = good;
    if (operand == 0) bad.x = good.x.slice(1, 0, 2);
    if (operand == 1) bad.W = good.W.slice(0, 3);
    if (operand == 2) bad.b = good.b.slice(0, 0, 3);
    if (operand == 3) bad.y = good.y.slice(0, 0, 1);
    EXPECT_THROW(matmul(bad), InvalidArgument) << "operand " << operand;
  }
}

}  // namespace
}  // namespace longwave::ops
