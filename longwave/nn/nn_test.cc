// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/nn/embedding.h"
#include "longwave/nn/linear.h"
#include "longwave/nn/mixing.h"
#include "longwave/nn/mlp.h"
#include "longwave/nn/norm.h"
#include "longwave/nn/pooling.h"

namespace longwave::nn {
namespace {

std::vector<float> random_numbers(int64_t count, uint64_t seed) {
  std::vector<float> numbers(count);
  Random random(seed);
  for (float& x : numbers) x = static_cast<float>(random.normal());
  return numbers;
}

TEST(Pooling, MeanIsExactToFloat32AtAnyLength) {
  constexpr int64_t kTime = 300000, kChannels = 2;
  const Pooling pooling(PoolingKind::kMean, kChannels);
  std::vector<float> x = random_numbers(kTime * kChannels, 1);
  double exact[kChannels] = {};
  for (int64_t t = 0; t < kTime; ++t) {
    x[t * kChannels] += 1000;  // far from zero, where a plain float sum drifts
    for (int64_t c = 0; c < kChannels; ++c) exact[c] += x[t * kChannels + c];
  }
  std::vector<float> state(pooling.state_size()), y(kChannels);
  const View<float, 2> state_view(state.data(), {1, pooling.state_size()});
  pooling.add({x.data(), {1, kTime, kChannels}}, state_view);
  pooling.pooled(state_view, {y.data(), {1, kChannels}});
  for (int64_t c = 0; c < kChannels; ++c) {
    // Two roundings: of the pair to a float, and of the division.
    const double mean = exact[c] / kTime;
    EXPECT_NEAR(y[c], mean, 2 * std::numeric_limits<float>::epsilon() * std::abs(mean));
  }
}

TEST(Pooling, SplitInvarianceIsBitwise) {
  constexpr int64_t kBatch = 2, kTime = 41, kChannels = 3;
  const std::vector<float> x = random_numbers(kBatch * kTime * kChannels, 2);
  const View<const float, 3> view(x.data(), {kBatch, kTime, kChannels});
  for (PoolingKind kind : {PoolingKind::kMean, PoolingKind::kLast}) {
    const Pooling pooling(kind, kChannels);
    const int64_t size = pooling.state_size();
    std::vector<float> whole(kBatch * size), parts(kBatch * size);
    pooling.add(view, {whole.data(), {kBatch, size}});
    int64_t begin = 0;
    for (int64_t end : {7, 7, 8, 40, 41}) {
      pooling.add(view.slice(1, begin, end - begin), {parts.data(), {kBatch, size}});
      begin = end;
    }
    EXPECT_EQ(whole, parts);
  }
}

TEST(Pooling, NothingYetIsZero) {
  for (PoolingKind kind : {PoolingKind::kMean, PoolingKind::kLast}) {
    const Pooling pooling(kind, 2);
    std::vector<float> state(pooling.state_size()), y = {7, 7};
    pooling.pooled({state.data(), {1, pooling.state_size()}}, {y.data(), {1, 2}});
    EXPECT_EQ(y, (std::vector<float>{0, 0}));
  }
}

TEST(Embedding, TakesTheRowsOfItsTable) {
  const Weights weights = initialise(embedding_parameters(4, 3, 1), 1);
  const Embedding embedding(weights, 4, 3);
  const std::vector<int64_t> tokens = {2, 0, 3, 2};
  std::vector<float> y(12);
  embedding.apply({tokens.data(), {2, 2}}, {y.data(), {2, 2, 3}});
  const auto table = weights.get("weight", {4, 3});
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(y[3 * i + c], table[3 * tokens[i] + c]);
  }
  const std::vector<int64_t> bad = {0, 4};
  EXPECT_THROW(embedding.check({bad.data(), {1, 2}}), InvalidArgument);
}

TEST(Parameters, AreWhatTheLayersAskFor) {
  // Each layer can be made from its own table, and not without any one tensor of it.
  const auto check = [](const ParameterTable& table, const auto& make) {
    make(initialise(table, 1));
    for (const Parameter& left_out : table) {
      ParameterTable rest = table;
      std::erase_if(rest, [&](const Parameter& p) { return p.name == left_out.name; });
      EXPECT_THROW(make(initialise(rest, 1)), DataError) << left_out.name;
    }
  };
  check(linear_parameters(3, 4), [](const Weights& w) { Linear(w, 3, 4); });
  check(embedding_parameters(3, 4, 1), [](const Weights& w) { Embedding(w, 3, 4); });
  for (NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kBatch}) {
    check(norm_parameters(kind, 4), [&](const Weights& w) { Norm(w, kind, 4); });
  }
  for (MixingKind kind : {MixingKind::kNone, MixingKind::kLinear, MixingKind::kGlu,
                          MixingKind::kHalfGlu1, MixingKind::kHalfGlu2}) {
    check(mixing_parameters(kind, 4),
          [&](const Weights& w) { Mixing(w, kind, ops::Activation::kGelu, 4); });
  }
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    const MlpConfig config = {.kind = kind, .channels = 4, .hidden = 8};
    check(mlp_parameters(config), [&](const Weights& w) { Mlp(w, config); });
  }
}

TEST(Parameters, NormsAndBiasesAreNotDecayed) {
  for (const ParameterTable& table :
       {norm_parameters(NormKind::kBatch, 2), linear_parameters(2, 2)}) {
    for (const Parameter& parameter : table) {
      const bool one = parameter.shape.size() == 1;
      EXPECT_EQ(parameter.group != ParameterGroup::kMain, one) << parameter.name;
    }
  }
}

}  // namespace
}  // namespace longwave::nn
