// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4/s4.h"

#include <gtest/gtest.h>

#include "longwave/mixers/s4/s4_system.h"
#include "longwave/mixers/testing/laws.h"
#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/theory/spectrum.h"

namespace longwave::mixers::testing {
namespace {

// The step multiplies by 2 / (2/dt - Lambda) and P separately: its intermediate values exceed those
// of Abar x by about the norm of P P^* dt, which is largest for LegS.
const MixerCase kCases[] = {
    {"Legs", "s4", {"state=8", "length=32"}, 3, 8},
    {"OneMode", "s4", {"state=2", "length=1"}, 1, 8},
    {"LegsWide", "s4", {"state=64", "length=100"}, 5, 64},
    {"LegtShared", "s4", {"state=12", "init=legt", "length=64", "copies=2"}, 4, 16},
    {"Lagt", "s4", {"state=6", "init=lagt", "length=48"}, 17, 8},
    {"Fout", "s4", {"state=10", "init=fout", "length=64"}, 4, 16},
    {"Random", "s4", {"state=10", "init=random", "length=64"}, 4, 16},
    {"Bidirectional", "s4", {"state=6", "length=64", "bidirectional=true"}, 5},
};
INSTANTIATE_TEST_SUITE_P(S4, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S4, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

/// The kernel of the generating function from the stored Ct is that of the recovered system.
TEST(S4, RecoveredReadoutGivesTheKernelOfCt) {
  constexpr int64_t kLength = 24;
  const MixerCase legs = {"Legs", "s4", {"state=8", "length=24"}, 2};
  const Weights weights = legs.weights(3);
  const auto mixer = legs.make(3);
  const s4::Shapes shapes(legs.options(), 2);
  const s4::Parts parts(shapes, weights);
  const auto Ct = weights.get("Ct", {2, 4, 2});
  for (int64_t h = 0; h < 2; ++h) {
    const theory::Dplr system =
        parts.system(h, s4::complex_row(Ct.subspan(static_cast<size_t>(8 * h), 8)));
    Eigen::VectorXcd nodes(kLength);
    for (int64_t k = 0; k < kLength; ++k) nodes(k) = std::polar(1.0, -2 * M_PI * k / kLength);
    const Eigen::VectorXcd spectrum = theory::generating_function(
        system, system.C, parts.dt(h), nodes, theory::GeneratingForm::kPoleFree);
    theory::DiscreteSystem discrete = mixer->system(h);
    Eigen::VectorXcd x = discrete.B.col(0);
    for (int64_t l = 0; l < kLength; ++l) {
      std::complex<double> K = 0;
      for (int64_t k = 0; k < kLength; ++k) {
        K += spectrum(k) * std::polar(1.0 / kLength, 2 * M_PI * k * l / kLength);
      }
      EXPECT_NEAR((discrete.C * x)(0).real(), K.real(), 1e6 * Tolerance::sum<double>(8, 1).bound);
      x = (discrete.A * x).eval();
    }
  }
}

TEST(S4, ReadoutStartsNormalWhateverTheLength) {
  const MixerCase brief = {"Brief", "s4", {"state=16", "length=4"}, 8};
  const MixerCase lasting = {"Lasting", "s4", {"state=16", "length=4096"}, 8};
  const auto a = brief.make(5), b = lasting.make(5);
  for (int64_t h = 0; h < 8; ++h) {
    // The same draw of C: both recover it, each from a Ct that was rounded to float.
    const Eigen::MatrixXcd difference = a->system(h).C - b->system(h).C;
    EXPECT_LE(difference.norm(), 1e-2 * b->system(h).C.norm()) << "channel " << h;
  }
}

TEST(S4, RejectsOptionsThatContradict) {
  const auto table = [](const std::string& setting) {
    return MixerCase{"Bad", "s4", {setting}, 3}.table();
  };
  EXPECT_THROW(table("state=7"), ConfigError);
  EXPECT_THROW(table("copies=2"), ConfigError);
  EXPECT_THROW(table("dt_min=0.5"), ConfigError);
  EXPECT_THROW(table("init=leg"), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
