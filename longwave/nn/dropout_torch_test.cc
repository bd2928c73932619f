// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/dropout_torch.h"

#include <gtest/gtest.h>

#include <cmath>

namespace longwave::nn {
namespace {

TEST(Dropout, KeepsTheMeanAndTheRate) {
  constexpr int64_t kCount = 100003;
  for (double rate : {0.1, 0.5, 0.9}) {
    const torch::Tensor mask = dropout_mask({.rate = rate, .seed = dropout_seed(5), .stream = 6},
                                            {kCount}, torch::ones({1}));
    const double dropped = (mask == 0).sum().item<double>() / kCount;
    // Five deviations of a binomial share.
    EXPECT_NEAR(dropped, rate, 5 * std::sqrt(rate * (1 - rate) / kCount));
    EXPECT_NEAR(mask.max().item<double>(), 1 / (1 - rate), 1e-6 / (1 - rate));
  }
}

TEST(Dropout, DiffersBetweenSeedsAndPlaces) {
  const torch::Tensor like = torch::ones({1});
  const auto mask = [&](uint64_t seed, uint64_t stream) {
    return dropout_mask({.rate = 0.5, .seed = dropout_seed(seed), .stream = stream}, {64}, like);
  };
  EXPECT_TRUE(torch::equal(mask(1, 1), mask(1, 1)));
  EXPECT_FALSE(torch::equal(mask(1, 1), mask(2, 1)));
  EXPECT_FALSE(torch::equal(mask(1, 1), mask(1, 2)));
}

}  // namespace
}  // namespace longwave::nn
