// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/diagonal_init.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/theory/normal_form.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Complex = std::complex<double>;
constexpr double pi = std::numbers::pi;

TEST(DiagonalInit, FormulasHold) {
  const Index modes = 5;
  for (Index n = 0; n < modes; ++n) {
    const auto k = static_cast<double>(n);
    const auto at = [&](DiagonalInit init) { return diagonal_poles(init, modes).Lambda(n); };
    EXPECT_EQ(at(DiagonalInit::kLin), Complex(-0.5, -pi * k));
    EXPECT_EQ(at(DiagonalInit::kReal), Complex(-(k + 1), 0));
    EXPECT_NEAR(at(DiagonalInit::kInv).imag(), -10 / pi * (10 / (2 * k + 1) - 1), 1e-13);
    EXPECT_NEAR(at(DiagonalInit::kQuad).imag(), -(1 + 2 * k) * (1 + 2 * k) / pi, 1e-13);
  }
}

TEST(DiagonalInit, InvGoldenNumbersAndNearnessToLegs) {
  const double golden[] = {1283.43, 414.23, 240.39, 165.88};
  const DiagonalPoles inv = diagonal_poles(DiagonalInit::kInv, 32);
  const DiagonalPoles legs = diagonal_poles(DiagonalInit::kLegS, 32);
  for (Index n = 0; n < 4; ++n) {
    EXPECT_NEAR(-inv.Lambda(n).imag(), golden[n], 0.0051);
    EXPECT_NEAR(inv.Lambda(n).imag() / legs.Lambda(n).imag(), 1, 0.1);
  }
}

TEST(DiagonalInit, LegsIsTheNormalForm) {
  const DiagonalPoles poles = diagonal_poles(DiagonalInit::kLegS, 8);
  const NormalForm form = normal_form(Hippo::kLegS, 16);
  EXPECT_EQ(poles.Lambda, form.Lambda);
  EXPECT_EQ(poles.B, form.B);
}

TEST(DiagonalInit, EveryPoleDecaysAndLiesInTheLowerHalf) {
  for (const std::string& known : diagonal_init_names()) {
    EXPECT_EQ(name(diagonal_init(known)), known);
    const DiagonalPoles poles = diagonal_poles(diagonal_init(known), 7);
    ASSERT_EQ(poles.Lambda.size(), 7);
    ASSERT_EQ(poles.B.size(), 7);
    for (const Complex& lambda : poles.Lambda) {
      EXPECT_LT(lambda.real(), 0) << known;
      EXPECT_LE(lambda.imag(), 0) << known;
    }
  }
}

TEST(DiagonalInit, DfoutPolesOfAllChannelsAreEvenOnACircle) {
  const Index modes = 4;
  const int64_t channels = 3;
  for (int64_t channel = 0; channel < channels; ++channel) {
    const Eigen::VectorXcd poles = dfout_poles(modes, 0.2, channel, channels);
    for (Index n = 0; n < modes; ++n) {
      const auto place = static_cast<double>(n * channels + channel);
      const Complex expected =
          std::exp(Complex(-0.1, -2 * pi * place / static_cast<double>(2 * modes * channels)));
      EXPECT_NEAR(std::abs(poles(n) - expected), 0, 1e-15);
    }
  }
}

TEST(DiagonalInit, RejectsBadArguments) {
  EXPECT_THROW((void)diagonal_poles(DiagonalInit::kLin, 0), InvalidArgument);
  EXPECT_THROW((void)diagonal_init("linn"), InvalidArgument);
  EXPECT_THROW((void)dfout_poles(4, -1, 0, 1), InvalidArgument);
  EXPECT_THROW((void)dfout_poles(4, 1, 1, 1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::theory
