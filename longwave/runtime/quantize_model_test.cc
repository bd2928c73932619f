// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/quantize_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/session.h"

namespace longwave::runtime {
namespace {

using longwave::testing::Worst;
using models::testing::ModelCase;

constexpr models::Interface kTokens = {models::Interface::Input::kTokens, 50,
                                       models::Interface::Output::kStep, 50};

constexpr DType kTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kQ8_0,
                            DType::kQ4_0,    DType::kQ4_K,     DType::kQ6_K};

/// Every layer that has matrices, with rows of whole blocks.
ModelCase example() {
  return {"example",
          {"model.pattern=mamba mamba2 attention | moe every 2, mlp", "model.d_model=256",
           "model.hidden=256", "mamba2.head_dim=32", "moe.experts=2"},
          kTokens};
}

Weights dense(const models::Config& config, const Weights& weights) {
  Weights result;
  for (const Parameter& parameter : models::parameters(config)) {
    result.put(parameter.name, ops::dequantize(weights.of(parameter)));
  }
  return result;
}

std::vector<float> logits(const std::shared_ptr<const Model>& model) {
  Session session(model);
  const std::vector<int64_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 9, 7, 9};
  const auto output = session.prefill(tokens);
  return {output.begin(), output.end()};
}

std::vector<float> logits(const models::Config& config, const Weights& weights) {
  return logits(std::make_shared<const Model>(config, weights, 1.0));
}

// Blocked products round their input by 1/254 of the largest of 32 numbers, which is at most about
// three deviations; two of them in a row of products that follow each other are as good as
// independent.
double rounding_of_inputs(const models::Config& config) {
  double products = 0;
  for (const Parameter& parameter : models::parameters(config)) {
    products += parameter.storage == Storage::kMatrix ? 1 : 0;
  }
  constexpr double kSafety = 4;
  return kSafety * 3.0 / 254 * std::sqrt(products);
}

double deviation(std::span<const float> values) {
  double power = 0;
  for (const float value : values) power += static_cast<double>(value) * value;
  return std::sqrt(power / static_cast<double>(values.size()));
}

TEST(QuantizeModel, IsTheModelOfItsNumbers) {
  const ModelCase test_case = example();
  for (const DType dtype : kTypes) {
    Weights weights = test_case.weights(1);
    const auto report = quantize_model(test_case.config(), weights, dtype);
    EXPECT_GT(report.size(), 8u);
    const std::vector<float> got = logits(test_case.config(), weights);
    const std::vector<float> expected =
        logits(test_case.config(), dense(test_case.config(), weights));
    const double scale = deviation(expected);
    const double relative = is_blocked(dtype) ? rounding_of_inputs(test_case.config()) : 1e-4;
    Worst worst{std::string(name_of(dtype))};
    for (size_t i = 0; i < got.size(); ++i) {
      worst.compare(static_cast<int64_t>(i), expected[i], got[i], {relative * scale});
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(QuantizeModel, StepsEqualPrefill) {
  const ModelCase test_case{"mamba", {"model.pattern=mamba*2", "model.d_model=64"}, kTokens};
  Weights weights = test_case.weights(2);
  quantize_model(test_case.config(), weights, DType::kQ8_0);
  const auto model = std::make_shared<const Model>(test_case.config(), weights, 1.0);
  Session whole(model), steps(model);
  std::vector<int64_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int64_t>(i * 7 % 50);
  const auto output = whole.prefill(tokens);
  const double bound = rounding_of_inputs(test_case.config()) * deviation(output);
  Worst worst("logits");
  for (size_t t = 0; t < tokens.size(); ++t) {
    const auto now = steps.step(tokens[t]);
    for (size_t i = 0; i < now.size(); ++i) {
      worst.compare(static_cast<int64_t>(t), output[t * now.size() + i], now[i], {bound});
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(QuantizeModel, MatricesAloneChange) {
  const ModelCase test_case = example();
  const Weights before = test_case.weights(3);
  Weights after = test_case.weights(3);
  quantize_model(test_case.config(), after, DType::kQ4_K);
  for (const Parameter& parameter : models::parameters(test_case.config())) {
    const Tensor& old = before.of(parameter);
    const Tensor& now = after.of(parameter);
    if (parameter.storage == Storage::kMatrix) {
      EXPECT_NE(now.dtype(), DType::kFloat32) << parameter.name;
    } else {
      ASSERT_EQ(now.dtype(), DType::kFloat32) << parameter.name;
      EXPECT_EQ(std::memcmp(old.raw(), now.raw(), old.bytes()), 0) << parameter.name;
    }
    for (const char* part : {"A_log", "dt_", "conv1d", "norm", "bias", "router", ".D"}) {
      if (parameter.name.find(part) != std::string::npos) {
        EXPECT_EQ(now.dtype(), DType::kFloat32) << parameter.name;
      }
    }
  }
  const std::string embedding = "encoder.weight", head = "decoder.weight";
  EXPECT_EQ(after.all().at(embedding).dtype(), DType::kQ6_K);
  EXPECT_EQ(after.all().at(head).dtype(), DType::kQ6_K);
}

// A model that is loaded keeps its weights in panels.
TEST(QuantizeModel, ALoadedModelIsTheOneOfItsWeights) {
  const longwave::testing::TemporaryFolder scratch;
  const ModelCase test_case = example();
  for (const DType dtype : kTypes) {
    Weights weights = test_case.weights(6);
    quantize_model(test_case.config(), weights, dtype);
    const auto folder = scratch.path() / std::string(name_of(dtype));
    save_model_folder(folder, test_case.config(), weights);
    const auto loaded = Model::load(folder);
    EXPECT_EQ(loaded->fingerprint(), Model(test_case.config(), weights).fingerprint());
    const std::vector<float> got = logits(loaded), expected = logits(test_case.config(), weights);
    const double bound = rounding_of_inputs(test_case.config()) * deviation(expected);
    Worst worst{std::string(name_of(dtype))};
    for (size_t i = 0; i < got.size(); ++i) {
      worst.compare(static_cast<int64_t>(i), expected[i], got[i], {bound});
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(QuantizeModel, RowsWithoutABlockAreNamed) {
  const ModelCase test_case{"narrow", {"model.pattern=mamba", "model.d_model=36"}, kTokens};
  Weights weights = test_case.weights(4);
  for (const QuantizedTensor& tensor : quantize_model(test_case.config(), weights, DType::kQ4_0)) {
    EXPECT_EQ(tensor.fits, tensor.shape.back() % 32 == 0) << tensor.name;
    EXPECT_TRUE(tensor.fits || tensor.to == DType::kBFloat16) << tensor.name;
  }
}

TEST(QuantizeModel, AFolderKeepsEveryBit) {
  const longwave::testing::TemporaryFolder scratch;
  const ModelCase test_case = example();
  for (const DType dtype : {DType::kFloat16, DType::kQ8_0, DType::kQ4_K}) {
    Weights weights = test_case.weights(5);
    quantize_model(test_case.config(), weights, dtype);
    const auto folder = scratch.path() / std::string(name_of(dtype));
    save_model_folder(folder, test_case.config(), weights);
    const ModelFolder loaded = load_model_folder(folder);
    for (const auto& [name, tensor] : weights.all()) {
      const Tensor& back = loaded.weights.all().at(name);
      ASSERT_EQ(back.dtype(), tensor.dtype()) << name;
      EXPECT_EQ(back.shape(), tensor.shape()) << name;
      EXPECT_EQ(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()), 0) << name;
    }
  }
}

}  // namespace
}  // namespace longwave::runtime
