// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "longwave/base/error.h"
#include "longwave/models/testing/model_case.h"

namespace longwave::inspect {
namespace {

using models::testing::ModelCase;

/// A training form that is the torch-free model with other weights.
class OtherWeights : public TrainingForm {
 public:
  OtherWeights(const models::Config& config, const Weights& weights) : model_(config, weights) {}

  std::vector<float> layer(int64_t layer, std::span<const float> u, int64_t time) override {
    const mixers::Mixer& mixer = model_.layer_mixer(layer);
    std::vector<float> y(u.size()), state(static_cast<size_t>(mixer.state_size()));
    Workspace workspace(mixer.workspace_bytes(1, time));
    mixer.prefill({.u = {u.data(), {1, time, mixer.channels()}},
                   .state = {state.data(), {1, mixer.state_size()}},
                   .y = {y.data(), {1, time, mixer.channels()}}},
                  workspace);
    return y;
  }

  std::vector<float> model(std::span<const float> input, std::span<const int64_t> tokens,
                           int64_t time) override {
    const models::Interface& io = model_.config().interface;
    const int64_t rows = io.output == models::Interface::Output::kStep ? time : 1;
    std::vector<float> state(static_cast<size_t>(model_.state_size()));
    std::vector<float> output(static_cast<size_t>(rows * io.output_size));
    Workspace workspace(model_.workspace_bytes(1, time));
    models::SequenceModel::Prefill args{.input = {},
                                        .tokens = {},
                                        .state = {state.data(), {1, model_.state_size()}},
                                        .output = {output.data(), {1, rows, io.output_size}}};
    if (tokens.empty()) args.input = {input.data(), {1, time, io.input_size}};
    if (!tokens.empty()) args.tokens = {tokens.data(), {1, time}};
    model_.prefill(args, workspace);
    return output;
  }

 private:
  models::SequenceModel model_;
};

/// A copy in which one number of one tensor is scaled.
Weights with_changed(const Weights& weights, const std::string& name, float factor) {
  Weights changed;
  for (const auto& [key, tensor] : weights.all()) {
    Tensor copy = tensor.clone();
    if (key == name) copy.elements<float>()[0] *= factor;
    changed.put(key, std::move(copy));
  }
  return changed;
}

std::string failures(const Verification& verification) {
  std::string text;
  for (const ViewCheck& check : verification.checks) {
    if (!check.ok()) text += check.subject + " " + check.view + "\n";
  }
  return text;
}

TEST(Verify, AllViewsOfEveryModelAgree) {
  for (const ModelCase& one : models::testing::all_cases()) {
    const Weights weights = one.weights(3);
    OtherWeights same(one.config(), weights);
    const Verification verification =
        verify(one.config(), weights, 1, {.length = 61, .splits = 2, .seed = 9}, &same);
    EXPECT_FALSE(verification.checks.empty()) << one.name;
    EXPECT_TRUE(verification.ok()) << one.name << ":\n" << failures(verification);
  }
}

TEST(Verify, SeesOneChangedWeightInTheTrainingForm) {
  const ModelCase one = {
      "steps", {}, {models::Interface::Input::kReal, 3, models::Interface::Output::kStep, 2}};
  const Weights weights = one.weights(4);
  for (const char* name : {"layers.0.mixer.C", "layers.1.mixer.log_dt", "encoder.weight"}) {
    OtherWeights wrong(one.config(), with_changed(weights, name, 1.05F));
    const Verification verification =
        verify(one.config(), weights, 1, {.length = 61, .splits = 1, .seed = 2}, &wrong);
    EXPECT_FALSE(verification.ok()) << name;
    const bool only_training = std::ranges::all_of(verification.checks, [](const ViewCheck& check) {
      return check.ok() || check.view == "training";
    });
    EXPECT_TRUE(only_training) << failures(verification);
  }
}

TEST(Verify, SameSettingsGiveTheSameNumbers) {
  const ModelCase one = {"two", {}, {}};
  const Weights weights = one.weights(4);
  const auto run = [&]() { return verify(one.config(), weights, 1, {.length = 40}, nullptr); };
  const Verification first = run(), second = run();
  ASSERT_EQ(first.checks.size(), second.checks.size());
  for (size_t i = 0; i < first.checks.size(); ++i) {
    EXPECT_EQ(first.checks[i].ratio, second.checks[i].ratio);
  }
}

TEST(Verify, NotesWhatCannotBeCompared) {
  const ModelCase both_ways = {"both", {"s4d.bidirectional=true"}, {}};
  const Verification verification =
      verify(both_ways.config(), both_ways.weights(1), 1, {.length = 10}, nullptr);
  EXPECT_TRUE(verification.ok());
  EXPECT_EQ(verification.notes.size(), 4u);  // two layers, no recurrent form, no training form
  EXPECT_THROW(verify(both_ways.config(), both_ways.weights(1), 1, {.length = 0}, nullptr),
               InvalidArgument);
}

}  // namespace
}  // namespace longwave::inspect
