// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/phi.h"

#include <gtest/gtest.h>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::theory {
namespace {

using Complex = std::complex<double>;
using Exact = std::complex<long double>;
using longwave::testing::Tolerance;
using longwave::testing::Worst;

// sum_k z^k / (k + shift)! in extended precision; enough terms for |z| <= 4.
Exact series(Exact z, int shift) {
  Exact term = 1;
  for (int k = 2; k <= shift; ++k) term /= static_cast<long double>(k);
  Exact sum = 0;
  for (int k = 0; k < 60; ++k) {
    sum += term;
    term *= z / static_cast<long double>(k + shift + 1);
  }
  return sum;
}

TEST(Phi, EqualsItsSeriesAtEveryMagnitude) {
  Random random(1);
  Worst expm1("expm1"), first("phi1"), second("phi2");
  for (int i = 0; i < 2000; ++i) {
    const double magnitude = std::pow(10.0, random.uniform(-18, 0.5));
    const Complex z = std::polar(magnitude, random.uniform(-3.2, 3.2));
    const Exact exact(z);
    const auto bound = [](Exact value, int64_t operations) {
      return Tolerance::sum<double>(operations, static_cast<double>(std::abs(value)));
    };
    const Exact one = series(exact, 1), two = series(exact, 2);
    expm1.compare(i, Complex(exact * one), complex_expm1(z), bound(exact * one, 4));
    first.compare(i, Complex(one), phi1(z), bound(one, 4));
    // Above |z| = 1/2 the closed form subtracts numbers a few times as large as the result.
    second.compare(i, Complex(two), phi2(z), bound(two, 16));
  }
  EXPECT_TRUE(expm1.ok());
  EXPECT_TRUE(first.ok());
  EXPECT_TRUE(second.ok());
}

TEST(Phi, LimitsAtZero) {
  EXPECT_EQ(complex_expm1(0), Complex(0));
  EXPECT_EQ(phi1(0), Complex(1));
  EXPECT_EQ(phi2(0), Complex(0.5));
}

TEST(Phi, FastDecayDoesNotOverflow) {
  EXPECT_NEAR(std::abs(phi1({-1e6, 3e5}) * Complex(1e6, -3e5) - 1.0), 0, 1e-15);
  EXPECT_NEAR(std::abs(phi2({-1e6, 0}) - 1e-6), 0, 2e-12);
}

}  // namespace
}  // namespace longwave::theory
