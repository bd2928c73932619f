// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lssl/lssl.h"

#include <gtest/gtest.h>

#include "longwave/mixers/testing/laws.h"
#include "longwave/theory/hippo.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Legs", "lssl", {"state=8"}, 3},
    {"OneState", "lssl", {"state=1"}, 1},
    {"Trained", "lssl", {"state=17", "train_A=true"}, 2},
    {"LegtBackward", "lssl", {"state=6", "init=legt", "alpha=1"}, 3},
    {"Lagt", "lssl", {"state=5", "init=lagt"}, 4},
    {"Fout", "lssl", {"state=32", "init=fout"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Lssl, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lssl, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

/// (I - dt/2 A) Abar = I + dt/2 A and (I - dt/2 A) Bbar = dt B for the layer's own A and dt.
TEST(Lssl, SystemIsTheBilinearOneOfItsHippoMatrix) {
  const MixerCase legs = {"Legs", "lssl", {"state=6"}, 2};
  const auto mixer = legs.make(4);
  const Weights weights = legs.weights(4);
  const auto log_dt = weights.get("log_dt", {2});
  const theory::HippoMatrices hippo = theory::hippo_matrices(theory::Hippo::kLegS, 6);
  const Eigen::MatrixXd I = Eigen::MatrixXd::Identity(6, 6);
  for (int64_t h = 0; h < 2; ++h) {
    const double dt = std::exp(static_cast<double>(log_dt[static_cast<size_t>(h)]));
    const theory::DiscreteSystem system = mixer->system(h);
    const Eigen::MatrixXd left = I - dt / 2 * hippo.A;
    // Weights are float32: entries of A carry its rounding.
    const double bound = Tolerance::sum<float>(6, hippo.A.cwiseAbs().maxCoeff()).bound;
    EXPECT_LE((left * system.A.real() - (I + dt / 2 * hippo.A)).cwiseAbs().maxCoeff(), bound);
    EXPECT_LE((left * system.B.real() - dt * hippo.B).cwiseAbs().maxCoeff(), bound);
  }
}

TEST(Lssl, RejectsOptionsThatContradict) {
  const auto table = [](std::vector<std::string> settings) {
    return MixerCase{"Bad", "lssl", std::move(settings), 3}.table();
  };
  EXPECT_THROW(table({"dt_min=0.5"}), ConfigError);
  EXPECT_THROW(table({"init=fout", "state=7"}), ConfigError);
  EXPECT_THROW(table({"init=leggs"}), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
