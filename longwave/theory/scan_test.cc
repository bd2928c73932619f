// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/scan.h"

#include <gtest/gtest.h>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

std::vector<Complex> draw(Random& random, size_t length, double size) {
  std::vector<Complex> values(length);
  for (Complex& value : values) {
    const double re = random.uniform(-size, size);
    value = {re, random.uniform(-size, size)};
  }
  return values;
}

TEST(Scan, CombineIsAssociativeWithAnIdentity) {
  Random random(61);
  Worst worst("combination");
  for (int trial = 0; trial < 100; ++trial) {
    const auto v = draw(random, 6, 1);
    const Affine<Complex> x{v[0], v[1]}, y{v[2], v[3]}, z{v[4], v[5]};
    const auto left = combine(combine(x, y), z), right = combine(x, combine(y, z));
    worst.compare(trial, left.a, right.a, Tolerance::sum<double>(3, 4));
    worst.compare(trial, left.b, right.b, Tolerance::sum<double>(3, 4));
    const auto same = combine(Affine<Complex>{}, combine(x, Affine<Complex>{}));
    EXPECT_EQ(same.a, x.a);
    EXPECT_EQ(same.b, x.b);
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Scan, BlockedEqualsSequential) {
  Random random(62);
  Worst worst("state");
  for (const size_t length : {0, 1, 2, 17, 64}) {
    const std::vector<Complex> a = draw(random, length, 0.7), b = draw(random, length, 1);
    const Complex start(0.3, -2);
    const auto expected = linear_recurrence<Complex>(a, b, start);
    for (const size_t block : {1, 2, 5, 16, 100}) {
      const auto got = blocked_recurrence<Complex>(a, b, start, block);
      ASSERT_EQ(got.size(), length);
      for (size_t t = 0; t < length; ++t) {
        worst.compare(static_cast<int64_t>(t), expected[t], got[t],
                      Tolerance::sum<double>(static_cast<int64_t>(length), 10));
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Scan, ZeroDecayResets) {
  const std::vector<double> a{0.5, 0, 0.5}, b{1, 2, 3};
  const std::vector<double> expected{51, 2, 4};
  EXPECT_EQ(linear_recurrence<double>(a, b, 100), expected);
  EXPECT_EQ(blocked_recurrence<double>(a, b, 100, 2), expected);
}

TEST(Scan, GradientMatchesFiniteDifference) {
  Random random(63);
  const size_t length = 9;
  std::vector<Complex> a = draw(random, length, 0.8), b = draw(random, length, 1);
  const std::vector<Complex> weight = draw(random, length, 1);
  Complex start(0.4, 0.9);
  // The loss Re sum conj(weight) h has dh = weight.
  const auto loss = [&] {
    const auto h = linear_recurrence<Complex>(a, b, start);
    double sum = 0;
    for (size_t t = 0; t < length; ++t) sum += (std::conj(weight[t]) * h[t]).real();
    return sum;
  };
  const auto h = linear_recurrence<Complex>(a, b, start);
  const auto gradient = linear_recurrence_backward<Complex>(a, start, h, weight);
  const auto numeric = [&](Complex& value) {
    const double step = 1e-6;
    const Complex kept = value;
    const auto along = [&](Complex direction) {
      value = kept + step * direction;
      const double up = loss();
      value = kept - step * direction;
      const double down = loss();
      value = kept;
      return (up - down) / (2 * step);
    };
    const double re = along(1);
    return Complex(re, along(Complex(0, 1)));
  };
  for (size_t t = 0; t < length; ++t) {
    EXPECT_NEAR(std::abs(numeric(a[t]) - gradient.a[t]), 0, 1e-8) << t;
    EXPECT_NEAR(std::abs(numeric(b[t]) - gradient.b[t]), 0, 1e-8) << t;
  }
  EXPECT_NEAR(std::abs(numeric(start) - gradient.start), 0, 1e-8);
}

TEST(Scan, RejectsBadShapes) {
  const std::vector<double> a{1, 2}, b{1};
  EXPECT_THROW((void)linear_recurrence<double>(a, b, 0), InvalidArgument);
  EXPECT_THROW((void)blocked_recurrence<double>(a, a, 0, 0), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
