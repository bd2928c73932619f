// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parameter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "longwave/base/error.h"

namespace longwave {
namespace {

ParameterTable example_table() {
  return {{.name = "weight", .shape = {3, 2}, .init = normal_init(0, 1)},
          {.name = "bias",
           .shape = {3},
           .group = ParameterGroup::kNoDecay,
           .init = constant_init(0.5f)}};
}

TEST(Initialise, AddingAParameterChangesNoOther) {
  const Weights before = initialise(example_table(), 1);
  ParameterTable longer = {{.name = "extra", .shape = {5}, .init = uniform_init(0, 1)}};
  append(longer, example_table());
  const Weights after = initialise(longer, 1);
  EXPECT_TRUE(std::ranges::equal(before.get("weight", {3, 2}), after.get("weight", {3, 2})));
  EXPECT_EQ(after.all().size(), 3u);
}

TEST(Initialise, AdjustingSeesTheParametersOfTheLayer) {
  ParameterTable table = example_table();
  table[0].adjust = [](std::span<float> out, const Weights& layer) {
    for (float& x : out) x = 2 * layer.get("bias", {3})[0];
  };
  const Weights inner = initialise(with_prefix("layers.1", table), 1);
  const Weights outer = initialise(table, 1);
  EXPECT_EQ(inner.get("layers.1.weight", {3, 2})[5], 1.0f);
  EXPECT_EQ(outer.get("weight", {3, 2})[0], 1.0f);
}

TEST(Weights, ScopesSeeTheSameStorage) {
  const Weights weights = initialise(with_prefix("layers.0", example_table()), 1);
  const Weights layer = weights.scope("layers").scope("0");
  EXPECT_EQ(layer.path(), "layers.0");
  EXPECT_TRUE(layer.has("bias"));
  EXPECT_EQ(layer.get("bias", {3})[0], 0.5f);
  EXPECT_EQ(layer.get("weight", {3, 2}).data(), weights.get("layers.0.weight", {3, 2}).data());
  EXPECT_EQ((layer.view<2>("weight", {3, 2}).extent(0)), 3);
}

TEST(Weights, MatricesHaveAnyTypeOfNumbers) {
  Weights weights = initialise(example_table(), 1);
  weights.put("blocks", Tensor(DType::kQ8_0, {2, 3, 64}));
  weights.put("indices", Tensor(DType::kInt64, {3, 2}));
  EXPECT_EQ(weights.matrix("weight", {3, 2}).floats()(2, 1), weights.get("weight", {3, 2})[5]);
  const Matrix blocks = weights.matrix("blocks", {2, 3, 64});
  EXPECT_EQ(blocks.dtype, DType::kQ8_0);
  EXPECT_EQ(blocks.rows, 6);
  EXPECT_EQ(blocks.columns, 64);
  EXPECT_EQ(blocks.row(1) - blocks.data, 68);
  EXPECT_THROW(weights.matrix("indices", {3, 2}), DataError);
  EXPECT_THROW(weights.matrix("weight", {2, 3}), DataError);
  EXPECT_THROW(weights.get("blocks", {2, 3, 64}), DataError);
}

TEST(Weights, MissingAndMisshapenTensorsAreNamed) {
  Weights weights = initialise(example_table(), 1);
  weights.put("doubles", Tensor(DType::kFloat64, {3}));
  EXPECT_THROW(weights.get("nothing", {3}), DataError);
  EXPECT_THROW(weights.get("bias", {4}), DataError);
  EXPECT_THROW(weights.get("doubles", {3}), DataError);
}

}  // namespace
}  // namespace longwave
