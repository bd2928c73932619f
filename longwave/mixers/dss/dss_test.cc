// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/dss/dss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "longwave/mixers/testing/laws.h"
#include "longwave/theory/system.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Exp", "dss", {"state=8"}, 3},
    {"OneMode", "dss", {"state=1"}, 1},
    {"SharedStep", "dss", {"state=5", "sep_dt_re_im=false"}, 18},
    {"Softmax", "dss", {"state=7", "kernel=softmax", "length=64"}, 4},
    {"Bidirectional", "dss", {"state=3", "bidirectional=true"}, 5},
};
INSTANTIATE_TEST_SUITE_P(Dss, MixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Dss, CausalMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

TEST(Dss, RateObeysTheZeroOrderHoldIdentity) {
  const MixerCase exp = {"Exp", "dss", {"state=6"}, 3};
  const MixerCase softmax = {"Softmax", "dss", {"state=6", "kernel=softmax", "length=50"}, 3};
  for (int64_t rate : {2, 5}) {
    expect_zoh_rate_identity(exp, rate, 40);
    expect_zoh_rate_identity(softmax, rate, 40);
  }
}

/// K[l] = Re sum_n W_n / A_n softmax_l(l z_n), written out.
TEST(Dss, SoftmaxKernelIsTheSoftmaxOverTheDeclaredLength) {
  constexpr int64_t kLength = 20, kModes = 4;
  const MixerCase test_case = {
      "Softmax", "dss", {"state=4", "kernel=softmax", "length=20", "dt_min=0.05"}, 2};
  const Weights weights = test_case.weights(9);
  const auto mixer = test_case.make(9);
  const auto log_dt = weights.view<2>("log_dt", {2, 2});
  const auto A_log_re = weights.view<1>("A_log_re", {kModes});
  const auto A_im = weights.view<1>("A_im", {kModes});
  const auto W = weights.view<3>("W", {2, kModes, 2});
  for (int64_t h = 0; h < 2; ++h) {
    const theory::DiscreteSystem system = mixer->system(h);
    Eigen::VectorXcd x = system.B;
    for (int64_t l = 0; l < kLength; ++l) {
      double expected = 0;
      for (int64_t n = 0; n < kModes; ++n) {
        const std::complex<double> A(-std::exp(static_cast<double>(A_log_re(n))), A_im(n));
        const std::complex<double> z(std::exp(static_cast<double>(log_dt(h, 0))) * A.real(),
                                     std::exp(static_cast<double>(log_dt(h, 1))) * A.imag());
        std::complex<double> sum = 0;
        for (int64_t j = 0; j < kLength; ++j) sum += std::exp(z * static_cast<double>(j));
        const std::complex<double> readout(W(h, n, 0), W(h, n, 1));
        expected += (readout / A * std::exp(z * static_cast<double>(l)) / sum).real();
      }
      EXPECT_NEAR((system.C * x)(0, 0).real(), expected, 1e-12) << "step " << l;
      x = (system.A * x).eval();
    }
  }
}

TEST(Dss, RejectsOptionsThatContradict) {
  EXPECT_THROW((MixerCase{"Bad", "dss", {"kernel=softmax"}, 3}.table()), ConfigError);
  EXPECT_THROW((MixerCase{"Bad", "dss", {"dt_min=0.5"}, 3}.table()), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers::testing
