// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model.h"

#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/base/testing/allocation_count.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/theory/system.h"

namespace longwave::models {
namespace {

using testing::all_cases;
using testing::case_name;
using testing::causal_cases;
using testing::close;
using testing::ModelCase;
using testing::running_cases;
using testing::Trial;

class SequenceModelLaws : public ::testing::TestWithParam<ModelCase> {
 protected:
  static constexpr uint64_t kSeed = 7;
  static constexpr int64_t kBatch = 3;

  const SequenceModel model_{GetParam().config(), GetParam().weights(kSeed)};
};

/// Laws of models that stream; those that look ahead have no step and keep no state.
class CausalModelLaws : public SequenceModelLaws {};

TEST_P(CausalModelLaws, StepEqualsPrefill) {
  for (int64_t time : {1, 2, 37}) {
    Trial all(model_, kBatch, time, kSeed), each(model_, kBatch, time, kSeed);
    all.prefill();
    each.steps();
    EXPECT_TRUE(close("output", model_, time, all.output, each.output));
    EXPECT_TRUE(close("state", model_, time, all.state, each.state));
  }
}

TEST_P(CausalModelLaws, SplitInvariance) {
  constexpr int64_t kTime = 47;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Trial whole(model_, kBatch, kTime, seed), parts(model_, kBatch, kTime, seed);
    whole.prefill();
    Random random(seed);
    for (int64_t begin = 0; begin < kTime;) {
      const int64_t count = std::min(random.integer(20), kTime - begin);
      parts.prefill(begin, count);
      begin += count;
    }
    EXPECT_TRUE(close("output", model_, kTime, whole.output, parts.output)) << "seed " << seed;
    EXPECT_TRUE(close("state", model_, kTime, whole.state, parts.state)) << "seed " << seed;
  }
}

TEST_P(SequenceModelLaws, NoStepsLeaveTheStateAsItIs) {
  Trial run(model_, kBatch, 0, kSeed);
  const std::vector<float> before = run.state;
  run.prefill();
  EXPECT_EQ(before, run.state);
  for (float value : run.output) EXPECT_TRUE(std::isfinite(value));
}

TEST_P(SequenceModelLaws, TheLastAnswerAloneIsTheLastOfAll) {
  const auto size = static_cast<size_t>(model_.config().interface.output_size);
  for (const int64_t time : {int64_t{1}, int64_t{2}, int64_t{37}}) {
    Trial all(model_, kBatch, time, kSeed), last(model_, kBatch, time, kSeed);
    all.prefill();
    std::vector<float> expected, got(kBatch * size, std::numeric_limits<float>::quiet_NaN());
    for (int64_t b = 1; b <= kBatch; ++b) {
      const auto end = all.output.begin() + b * (std::ssize(all.output) / kBatch);
      expected.insert(expected.end(), end - static_cast<int64_t>(size), end);
    }
    SequenceModel::Prefill args = last.args(0, time);
    args.output = {got.data(), {kBatch, 1, static_cast<int64_t>(size)}};
    Workspace workspace(model_.workspace_bytes(kBatch, time));
    model_.prefill(args, workspace);
    EXPECT_TRUE(close("output", model_, time, expected, got)) << time << " steps";
    EXPECT_EQ(all.state, last.state) << time << " steps";
  }
}

TEST_P(SequenceModelLaws, BatchInvariance) {
  constexpr int64_t kTime = 29;
  Trial all(model_, kBatch, kTime, kSeed), alone(model_, 1, kTime, kSeed);
  const int64_t last = kBatch - 1;
  const auto pick = [&](const auto& from, auto& to) {
    std::copy_n(from.begin() + last * to.size(), to.size(), to.begin());
  };
  pick(all.input, alone.input);
  pick(all.tokens, alone.tokens);
  pick(all.state, alone.state);
  all.prefill();
  alone.prefill();
  std::vector<float> expected = alone.output;
  pick(all.output, expected);
  EXPECT_TRUE(close("output", model_, kTime, expected, alone.output));
  expected = alone.state;
  pick(all.state, expected);
  EXPECT_TRUE(close("state", model_, kTime, expected, alone.state));
}

TEST_P(CausalModelLaws, StepNeverAllocates) {
  Trial run(model_, kBatch, 2, kSeed);
  Workspace workspace(model_.workspace_bytes(kBatch, 1));
  model_.step(run.step_args(0), workspace);
  const SequenceModel::Step args = run.step_args(1);
  const int64_t before = longwave::testing::allocation_count();
  model_.step(args, workspace);
  EXPECT_EQ(longwave::testing::allocation_count(), before);
}

TEST_P(SequenceModelLaws, OnlyCausalModelsStep) {
  Trial run(model_, kBatch, 1, kSeed);
  Workspace workspace(model_.workspace_bytes(kBatch, 1));
  if (model_.causal()) {
    EXPECT_NO_THROW(model_.step(run.step_args(0), workspace));
  } else {
    EXPECT_THROW(model_.step(run.step_args(0), workspace), InvalidArgument);
  }
}

TEST_P(SequenceModelLaws, PackedEqualsSeparate) {
  constexpr int64_t kTime = 31, kSecond = 12;
  Trial packed(model_, 1, kTime, kSeed), separate(model_, 1, kTime, kSeed);
  std::vector<uint8_t> starts(kTime, 0);
  starts[kSecond] = 1;
  SequenceModel::Prefill args = packed.args(0, kTime);
  args.starts = {starts.data(), {1, kTime}};
  Workspace workspace(model_.workspace_bytes(1, kTime));
  if (!model_.packs()) {
    EXPECT_THROW(model_.prefill(args, workspace), InvalidArgument);
    return;
  }
  model_.prefill(args, workspace);
  separate.prefill(0, kSecond);
  std::ranges::fill(separate.state, 0.0f);
  separate.prefill(kSecond, kTime - kSecond);
  EXPECT_TRUE(close("output", model_, kTime, separate.output, packed.output));
  EXPECT_TRUE(close("state", model_, kTime, separate.state, packed.state));
}

TEST_P(SequenceModelLaws, WorkspaceServesEveryShorterInput) {
  Workspace workspace(model_.workspace_bytes(kBatch, 40));
  for (int64_t time : {40, 39, 17, 1, 0}) {
    Trial run(model_, kBatch, time, kSeed);
    EXPECT_NO_THROW(model_.prefill(run.args(0, time), workspace));
    EXPECT_EQ(workspace.used(), 0u);
  }
}

TEST_P(SequenceModelLaws, WeightsAreTheTable) {
  const Config config = GetParam().config();
  for (const Parameter& parameter : parameters(config)) {
    Weights incomplete;
    const Weights complete = GetParam().weights(kSeed);
    for (const auto& [name, tensor] : complete.all()) {
      if (name != parameter.name) incomplete.put(name, tensor.clone());
    }
    EXPECT_THROW(SequenceModel(config, incomplete), DataError) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SequenceModelLaws, ::testing::ValuesIn(running_cases()),
                         [](const auto& info) { return case_name(info); });

INSTANTIATE_TEST_SUITE_P(All, CausalModelLaws, ::testing::ValuesIn(causal_cases()),
                         [](const auto& info) { return case_name(info); });

TEST(SequenceModel, LongInputsNeedNoMoreMemory) {
  const ModelCase test_case{"long", {}, {}};
  const SequenceModel model(test_case.config(), test_case.weights(1));
  EXPECT_EQ(model.workspace_bytes(1, 5000), model.workspace_bytes(1, 1000000));
  EXPECT_EQ(model.workspace_bytes(64, 5000), model.workspace_bytes(64, 1000000));
}

TEST(SequenceModel, ChunksOfTimeDoNotShow) {
  const ModelCase test_case{"long", {}, {Interface::Input::kReal, 1, Interface::Output::kStep, 1}};
  const SequenceModel model(test_case.config(), test_case.weights(1));
  constexpr int64_t kTime = 2500;
  Trial whole(model, 1, kTime, 3), parts(model, 1, kTime, 3);
  whole.prefill();
  parts.prefill(0, 777);
  parts.prefill(777, kTime - 777);
  EXPECT_TRUE(close("output", model, kTime, whole.output, parts.output));
  Trial last(model, 1, kTime, 3);
  float answer = std::numeric_limits<float>::quiet_NaN();
  SequenceModel::Prefill args = last.args(0, kTime);
  args.output = {&answer, {1, 1, 1}};
  Workspace workspace(model.workspace_bytes(1, kTime));
  model.prefill(args, workspace);
  EXPECT_TRUE(close("output", model, kTime, {whole.output.back()}, {answer}));
  EXPECT_EQ(whole.state, last.state);
}

TEST(SequenceModel, StandardisationIsThatOfTheBuffers) {
  // A model whose layers do nothing to speak of: the answer is a function of (x - shift) / scale.
  const ModelCase test_case{"units", {}, {Interface::Input::kReal, 1, Interface::Output::kStep, 1}};
  Weights plain = test_case.weights(1), scaled = test_case.weights(1);
  const auto set = [](Weights& weights, const char* name, float value) {
    Tensor tensor(DType::kFloat32, {1});
    tensor.elements<float>()[0] = value;
    weights.put(name, std::move(tensor));
  };
  for (const char* end : {"encoder", "decoder"}) {
    set(plain, (std::string(end) + ".shift").c_str(), 0);
    set(plain, (std::string(end) + ".scale").c_str(), 1);
  }
  set(scaled, "encoder.shift", 8);
  set(scaled, "encoder.scale", 4);
  set(scaled, "decoder.shift", -2);
  set(scaled, "decoder.scale", 0.5);
  const SequenceModel in_standard(test_case.config(), plain), in_raw(test_case.config(), scaled);
  Trial standard(in_standard, 2, 9, 3), raw(in_raw, 2, 9, 3);
  for (float& x : raw.input) x = x * 4 + 8;
  standard.prefill();
  raw.prefill();
  for (float& y : standard.output) y = y * 0.5f - 2;
  EXPECT_TRUE(close("output", in_raw, 9, standard.output, raw.output));
}

TEST(SequenceModel, RateMultipliesEveryStepSize) {
  const ModelCase test_case{"rate", {"s4d.discretization=zoh"}, {}};
  const Weights weights = test_case.weights(1);
  const SequenceModel once(test_case.config(), weights), twice(test_case.config(), weights, 2);
  for (int64_t layer = 0; layer < once.layer_count(); ++layer) {
    // exp(2 dt A) = exp(dt A)^2
    const auto A = once.layer_mixer(layer).system(1).A,
               squared = twice.layer_mixer(layer).system(1).A;
    const double bound = std::numeric_limits<float>::epsilon() * 8;
    EXPECT_LT((A * A - squared).cwiseAbs().maxCoeff(), bound);
  }
}

TEST(SequenceModel, MeanPoolingCountsBeyondFloat32) {
  const ModelCase test_case{"mean", {"model.d_model=1"}, {}};
  const SequenceModel model(test_case.config(), test_case.weights(1));
  Trial run(model, 1, 3, 1);
  // The state ends in sum, count, and what rounding took from both.
  float* end = run.state.data() + run.state.size();
  constexpr float kMany = 16777216;  // float32 cannot add 1 to it
  end[-3] = kMany;
  run.prefill();
  EXPECT_EQ(static_cast<double>(end[-3]) + end[-1], kMany + 3.0);
}

TEST(SequenceModel, RejectsWhatItCannotTake) {
  const ModelCase test_case{
      "tokens", {}, {Interface::Input::kTokens, 5, Interface::Output::kStep, 5}};
  const SequenceModel model(test_case.config(), test_case.weights(1));
  Trial run(model, 2, 3, 1);
  for (int64_t bad : {int64_t{-1}, int64_t{5}}) {
    const std::vector<float> before = run.state;
    run.tokens[4] = bad;
    EXPECT_THROW(run.prefill(), InvalidArgument);
    EXPECT_EQ(run.state, before);
  }
  run.tokens[4] = 0;
  SequenceModel::Prefill args = run.args(0, 3);
  args.state = args.state.slice(1, 0, 1);
  Workspace workspace(model.workspace_bytes(2, 3));
  EXPECT_THROW(model.prefill(args, workspace), InvalidArgument);
  EXPECT_THROW(model.layer_mixer(2), InvalidArgument);
}

TEST(SequenceModel, TiedModelsReadOutByTheEmbedding) {
  const Interface tokens = {Interface::Input::kTokens, 7, Interface::Output::kStep, 7};
  const ModelCase tied{"tied", {"model.tie=true"}, tokens}, free{"free", {}, tokens};
  const Weights weights = tied.weights(1);
  EXPECT_FALSE(weights.has("decoder.weight"));
  EXPECT_FALSE(weights.has("decoder.bias"));
  Weights copied = tied.weights(1);
  Tensor weight(DType::kFloat32, {7, 6});
  std::ranges::copy(weights.get("encoder.weight", {7, 6}), weight.elements<float>().begin());
  copied.put("decoder.weight", std::move(weight));
  copied.put("decoder.bias", Tensor(DType::kFloat32, {7}));
  const SequenceModel one(tied.config(), weights), other(free.config(), copied);
  Trial a(one, 2, 9, 3), b(other, 2, 9, 3);
  a.prefill();
  b.prefill();
  EXPECT_EQ(a.output, b.output);
  const ModelCase bad{"bad", {"model.tie=true"}, {}};
  EXPECT_THROW(parameters(bad.config()), ConfigError);
}

TEST(SequenceModel, BranchesOfDeepModelsStartSmall) {
  const Interface tokens = {Interface::Input::kTokens, 7, Interface::Output::kStep, 7};
  const std::vector<std::string> common = {"model.pattern=s4d*8 | mlp", "model.mlp=2"};
  ModelCase plain{"plain", common, tokens}, scaled{"scaled", common, tokens};
  scaled.settings.push_back("model.scale_branches=true");
  const Weights large = initialise(parameters(plain.config()), 1);
  const Weights small = initialise(parameters(scaled.config()), 1);
  for (const auto& [name, tensor] : large.all()) {
    const bool last = name.ends_with("mixing.weight") || name.ends_with("down.weight");
    const auto before = large.get(name, tensor.shape()), after = small.get(name, tensor.shape());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_FLOAT_EQ(after[i], last ? before[i] / 4 : before[i]) << name;
    }
  }
}

/// A branch's last product times m is the branch times m.
TEST(SequenceModel, MultipliersAreThoseOfTheProducts) {
  const Interface tokens = {Interface::Input::kTokens, 7, Interface::Output::kStep, 7};
  const std::vector<std::string> common = {"model.pattern=s4d*2 | mlp every 2, moe",
                                           "model.mixing=linear",
                                           "model.mlp=2",
                                           "moe.experts=3",
                                           "moe.shared=4",
                                           "model.head_bias=false"};
  std::vector<std::string> settings = common;
  for (const char* one : {"embedding", "residual", "logits"}) {
    settings.push_back("model." + std::string(one) + "_multiplier=0.25");
  }
  const ModelCase inside{"inside", settings, tokens}, folded{"folded", common, tokens};
  const Weights weights = inside.weights(3);
  Weights products;
  for (const auto& [name, tensor] : weights.all()) {
    products.put(name, tensor.clone());
    const bool scaled = name == "encoder.weight" || name == "decoder.weight" ||
                        name.find("mixing.") != std::string::npos ||
                        name.find("down.") != std::string::npos;
    if (!scaled) continue;
    Tensor quarter = tensor.clone();
    for (float& value : quarter.elements<float>()) value /= 4;
    products.put(name, std::move(quarter));
  }
  const SequenceModel one(inside.config(), weights), other(folded.config(), products);
  Trial a(one, 2, 9, 5), b(other, 2, 9, 5);
  a.prefill();
  b.prefill();
  EXPECT_TRUE(close("output", one, 9, b.output, a.output));
}

TEST(Config, NamesWhatCannotBeTrained) {
  const ModelCase usual{"usual", {}, {}}, published{"published", {"model.mlp_bias=false"}, {}};
  EXPECT_NO_THROW(check_trainable(usual.config()));
  EXPECT_THROW(check_trainable(published.config()), ConfigError);
}

TEST(Config, AsksForHiddenChannelsWhereThePatternNeedsThem) {
  const auto table = [](const char* pattern) {
    return parameters(ModelCase{"hidden", {std::string("model.pattern=") + pattern}, {}}.config());
  };
  EXPECT_THROW(table("s4d*2 | mlp"), ConfigError);
  EXPECT_NO_THROW(table("s4d*2 | none"));
  const ModelCase exact{"exact", {"model.pattern=s4d | mlp", "model.hidden=5"}, {}};
  EXPECT_EQ(exact.weights(1).get("layers.0.mlp.down.weight", {6, 5}).size(), 30u);
}

TEST(Config, IsPickedOutOfARecipe) {
  Schema recipe = config_schema("s4d*2");
  recipe.push_back({.key = "train.lr", .value = 0.1, .help = ""});
  Options settings(recipe);
  settings.assign("model.d_model=12", "test");
  const Config config = make_config({}, settings);
  EXPECT_EQ(config.options.integer("model.d_model"), 12);
  EXPECT_EQ(config.options.text("model.pattern"), "s4d*2");
  EXPECT_FALSE(config.options.has("train.lr"));
}

TEST(Config, EveryOptionIsDocumented) {
  for (const Option& option : model_schema()) EXPECT_FALSE(option.help.empty()) << option.key;
}

}  // namespace
}  // namespace longwave::models
