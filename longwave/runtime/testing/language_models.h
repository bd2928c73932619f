// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/quantize_model.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime::testing {

/// Eleven kinds of tokens in, an answer for each of them a step.
inline constexpr models::Interface kTokens = {models::Interface::Input::kTokens, 11,
                                              models::Interface::Output::kStep, 11};

inline std::shared_ptr<const Model> make_model(const models::testing::ModelCase& test_case) {
  return std::make_shared<const Model>(test_case.config(), test_case.weights(1));
}

/// Calls `test` with a published model of every family.
template <typename Test>
void for_published_models(Test&& test) {
  for (const char* name : {"mamba", "mamba2", "jamba", "zamba2", "falcon_h1", "bamba",
                           "granitemoehybrid", "nemotron_h_experts", "falcon_mamba"}) {
    SCOPED_TRACE(name);
    test(Model::load(kFixtures / name));
  }
}

/// Calls `test` with a model of kTokens for each type that matrices can have beside float32.
template <typename Test>
void for_matrices_of_every_type(Test&& test) {
  const models::testing::ModelCase wide = {
      "wide", {"model.pattern=mamba mamba2 attention", "model.d_model=256"}, kTokens};
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16, DType::kQ8_0, DType::kQ4_0,
                            DType::kQ4_K, DType::kQ6_K}) {
    SCOPED_TRACE(name_of(dtype));
    Weights weights = wide.weights(1);
    quantize_model(wide.config(), weights, dtype);
    test(std::make_shared<const Model>(wide.config(), weights));
  }
}

}  // namespace longwave::runtime::testing
