// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/training_form_torch.h"

#include <gtest/gtest.h>

#include "longwave/models/testing/model_case.h"

namespace longwave::inspect {
namespace {

using models::testing::ModelCase;

TEST(TrainingForm, AgreesWithAllOtherViewsOfEveryModel) {
  for (const ModelCase& one : models::testing::all_cases()) {
    const Weights weights = one.weights(3);
    const auto training = make_training_form(one.config(), weights);
    const Verification verification =
        verify(one.config(), weights, 1, {.length = 61, .splits = 2, .seed = 9}, training.get());
    for (const ViewCheck& check : verification.checks) {
      EXPECT_TRUE(check.ok()) << one.name << ": " << check.subject << ' ' << check.view << ' '
                              << check.difference << " > " << check.bound;
    }
  }
}

TEST(TrainingForm, WithOtherWeightsIsFoundOut) {
  const ModelCase one = {
      "steps", {}, {models::Interface::Input::kReal, 3, models::Interface::Output::kStep, 2}};
  const auto other = make_training_form(one.config(), one.weights(8));
  EXPECT_FALSE(verify(one.config(), one.weights(3), 1, {.length = 31}, other.get()).ok());
}

}  // namespace
}  // namespace longwave::inspect
