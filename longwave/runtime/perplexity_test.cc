// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/testing/model_case.h"

namespace longwave::runtime {
namespace {

using models::Interface;

const models::testing::ModelCase kModel = {
    "Tokens", {}, {Interface::Input::kTokens, 11, Interface::Output::kStep, 11}};

TEST(Perplexity, EqualsTheSumOverStepsForEveryLength) {
  const auto model = std::make_shared<const Model>(kModel.config(), kModel.weights(5));
  for (const size_t length : {0, 1, 2, 128, 129, 130, 300}) {
    std::vector<int64_t> tokens(length);
    for (size_t i = 0; i < length; ++i) tokens[i] = static_cast<int64_t>(i * i % 11);
    Session session(model), stepped(model);
    const Perplexity got = measure_perplexity(session, tokens, [](int64_t) { return true; });
    double nats = 0;
    for (size_t i = 0; i + 1 < length; ++i) {
      const auto logits = stepped.step(tokens[i]);
      double sum = 0;
      for (const float logit : logits) sum += std::exp(double{logit});
      nats += std::log(sum) - double{logits[static_cast<size_t>(tokens[i + 1])]};
    }
    EXPECT_EQ(got.tokens, static_cast<int64_t>(length < 2 ? 0 : length - 1));
    EXPECT_NEAR(got.nats, nats, 1e-4 * (1 + nats)) << length;
  }
}

TEST(Perplexity, EndsWhenAskedAndRefusesForeignTokens) {
  Session session(std::make_shared<const Model>(kModel.config(), kModel.weights(5)));
  const std::vector<int64_t> tokens(1000, 3);
  EXPECT_EQ(measure_perplexity(session, tokens, [](int64_t) { return false; }).tokens, 128);
  const std::vector<int64_t> foreign = {1, 11};
  EXPECT_THROW(measure_perplexity(session, foreign, [](int64_t) { return true; }), InvalidArgument);
}

}  // namespace
}  // namespace longwave::runtime
