// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model_torch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/nn/dropout_torch.h"
#include "longwave/ops/testing/autocast_torch.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::models {
namespace {

using testing::all_cases;
using testing::case_name;
using testing::close;
using testing::ModelCase;
using testing::Trial;

constexpr uint64_t kSeed = 7;

torch::Tensor tensor_of(std::vector<float>& values, at::IntArrayRef shape) {
  return torch::from_blob(values.data(), shape).clone();
}

std::vector<float> values_of(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().to(torch::kFloat32).contiguous();
  return {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()};
}

TorchSequenceModel::Call call_of(Trial& trial) {
  TorchSequenceModel::Call call;
  const Interface& io = trial.model.config().interface;
  if (io.input == Interface::Input::kTokens) {
    call.tokens =
        torch::from_blob(trial.tokens.data(), {trial.batch, trial.time}, torch::kInt64).clone();
  } else {
    call.input = tensor_of(trial.input, {trial.batch, trial.time, io.input_size});
  }
  call.state = tensor_of(trial.state, {trial.batch, trial.model.state_size()});
  return call;
}

/// Standardised outputs as the runtime answers them.
torch::Tensor raw(const TorchSequenceModel& model, const torch::Tensor& output) {
  return output * model.parameter("decoder.scale") + model.parameter("decoder.shift");
}

class TorchModelLaws : public ::testing::TestWithParam<ModelCase> {
 protected:
  const Weights weights_ = GetParam().weights(kSeed);
  const SequenceModel model_{GetParam().config(), weights_};
  TorchSequenceModel torch_{GetParam().config(), weights_};
};

TEST_P(TorchModelLaws, TorchEqualsTorchFree) {
  torch_.eval();
  for (int64_t time : {1, 2, 67}) {
    Trial trial(model_, 3, time, kSeed);
    if (!model_.causal()) std::ranges::fill(trial.state, 0.0f);
    TorchSequenceModel::Call call = call_of(trial);
    call.final_state = true;
    trial.prefill();
    const TorchSequenceModel::Output got = torch_.forward(call);
    EXPECT_TRUE(close("output", model_, time, trial.output, values_of(raw(torch_, got.output))));
    // The pair (sum, lost) of the pooling stands for one number: compare what goes on from there.
    std::vector<float> state = values_of(got.state);
    Trial next(model_, 3, 5, kSeed + 1), torch_next(model_, 3, 5, kSeed + 1);
    if (!model_.causal()) continue;
    next.state = trial.state;
    torch_next.state = state;
    next.prefill();
    torch_next.prefill();
    EXPECT_TRUE(close("next output", model_, time, next.output, torch_next.output));
  }
}

TEST_P(TorchModelLaws, PaddedEqualsUnpadded) {
  constexpr int64_t kTime = 23;
  torch_.eval();
  Trial trial(model_, 3, kTime, kSeed);
  TorchSequenceModel::Call padded = call_of(trial);
  padded.state = torch::Tensor();
  const std::vector<int64_t> lengths = {kTime, 1, 14};
  padded.lengths = torch::tensor(lengths);
  const torch::Tensor all = torch_.forward(padded).output;
  for (int64_t b = 0; b < 3; ++b) {
    TorchSequenceModel::Call alone;
    if (padded.input.defined())
      alone.input = padded.input.slice(0, b, b + 1).slice(1, 0, lengths[b]);
    if (padded.tokens.defined()) {
      alone.tokens = padded.tokens.slice(0, b, b + 1).slice(1, 0, lengths[b]);
    }
    const torch::Tensor expected = torch_.forward(alone).output;
    torch::Tensor got = all.slice(0, b, b + 1);
    if (got.dim() == 3) got = got.slice(1, 0, lengths[b]);
    EXPECT_TRUE(close("output", model_, kTime, values_of(expected), values_of(got)));
  }
}

TEST_P(TorchModelLaws, PaddingNeverEntersTraining) {
  Trial trial(model_, 3, 19, kSeed);
  TorchSequenceModel::Call call = call_of(trial);
  call.state = torch::Tensor();
  call.lengths = torch::tensor(std::vector<int64_t>{19, 3, 11});
  std::vector<std::vector<float>> outputs;
  for (int variant : {0, 1}) {
    TorchSequenceModel model(GetParam().config(), weights_);
    TorchSequenceModel::Call changed = call;
    const auto change = [&](const torch::Tensor& x) {
      torch::Tensor copy = x.clone();
      if (variant == 1) copy[1].slice(0, 3).fill_(4);
      return copy;
    };
    if (call.input.defined()) changed.input = change(call.input);
    if (call.tokens.defined()) changed.tokens = change(call.tokens);
    torch::Tensor output = model.forward(changed).output;
    if (output.dim() == 3) output = output[1].slice(0, 0, 3);
    output.sum().backward();
    outputs.push_back(values_of(output));
    const Weights after = model.weights();
    for (const Parameter& parameter : model.table()) {
      const auto values = after.get(parameter.name, parameter.shape);
      outputs.back().insert(outputs.back().end(), values.begin(), values.end());
      const torch::Tensor tensor = model.parameter(parameter.name);
      if (!tensor.grad().defined() || parameter.name == "encoder.weight") continue;
      const auto gradient = values_of(tensor.grad());
      outputs.back().insert(outputs.back().end(), gradient.begin(), gradient.end());
    }
  }
  ASSERT_EQ(outputs[0].size(), outputs[1].size());
  EXPECT_TRUE(close("outputs, statistics and gradients", model_, 19, outputs[0], outputs[1]));
}

TEST_P(TorchModelLaws, GradientMatchesFiniteDifference) {
  const std::string& name = GetParam().name;
  TorchSequenceModel model(GetParam().config(), weights_);
  model.to(torch::kFloat64);
  Trial trial(model_, 2, 5, kSeed);
  TorchSequenceModel::Call call = call_of(trial);
  call.final_state = true;
  call.dropout_seed = nn::dropout_seed(3);
  call.state = call.state.to(torch::kFloat64).requires_grad_();
  if (!model_.causal()) call.state = torch::Tensor();
  if (call.input.defined()) call.input = call.input.to(torch::kFloat64).requires_grad_();
  std::vector<longwave::testing::Operand> operands;
  if (call.input.defined()) operands.push_back({name + " input", call.input});
  if (call.state.defined() && call.state.numel() > 0) {
    // Not the compensations and the count of the mean, which divide.
    operands.push_back({name + " state", call.state});
  }
  for (const char* parameter :
       {"encoder.weight", "layers.0.norm.weight", "layers.0.mixing.weight",
        "layers.1.mlp.up.weight", "layers.1.mlp.down.weight", "layers.1.norm.weight",
        "layers.1.moe.router.weight", "layers.1.moe.up.weight", "layers.1.moe.down.weight",
        "decoder.weight", "decoder.bias"}) {
    if (weights_.has(parameter)) operands.push_back({parameter, model.parameter(parameter)});
  }
  longwave::testing::expect_gradients(
      [&] {
        const TorchSequenceModel::Output output = model.forward(call);
        torch::Tensor loss = longwave::testing::weighted_sum(output.output);
        if (output.balance.defined()) loss = loss + output.balance;
        if (output.state.numel() > 0) loss = loss + longwave::testing::weighted_sum(output.state);
        return loss;
      },
      operands);
}

/// All gradients of a sum over a model's output in one row.
torch::Tensor gradients_of(TorchSequenceModel& model, const torch::Tensor& output) {
  for (const Parameter& parameter : model.table()) {
    model.parameter(parameter.name).mutable_grad() = torch::Tensor();
  }
  longwave::testing::weighted_sum(output.to(torch::kFloat32)).backward();
  std::vector<torch::Tensor> all;
  for (const Parameter& parameter : model.table()) {
    const torch::Tensor gradient = model.parameter(parameter.name).grad();
    if (!gradient.defined()) continue;
    EXPECT_EQ(gradient.scalar_type(), torch::kFloat32) << parameter.name;
    all.push_back(gradient.reshape({-1}));
  }
  return torch::cat(all);
}

TEST_P(TorchModelLaws, BfloatGradientsAreCloseToThoseOfFloat) {
  // Signals are rounded a dozen times a layer, forwards and again backwards, each time by half of
  // 2^-8 of themselves at most; errors have random signs.
  constexpr double kLayers = 4, kRoundings = 2 * 12 * kLayers, kSafety = 4;
  const double bound = kSafety * std::ldexp(1.0, -9) * std::sqrt(kRoundings);
  Trial trial(model_, 3, 40, kSeed);
  TorchSequenceModel::Call call = call_of(trial);
  call.state = torch::Tensor();
  TorchSequenceModel model(GetParam().config(), weights_);
  const torch::Tensor expected = gradients_of(model, model.forward(call).output);
  model.set_precision(nn::Precision::kBfloat16);
  const torch::Tensor got = gradients_of(model, model.forward(call).output);
  EXPECT_LT((got - expected).norm().item<double>(), bound * expected.norm().item<double>());
}

TEST_P(TorchModelLaws, AutocastIsThePrecisionBfloat) {
  Trial trial(model_, 2, 12, kSeed);
  TorchSequenceModel::Call call = call_of(trial);
  call.state = torch::Tensor();
  TorchSequenceModel cast(GetParam().config(), weights_);
  TorchSequenceModel rounded(GetParam().config(), weights_);
  rounded.set_precision(nn::Precision::kBfloat16);
  const torch::Tensor expected = rounded.forward(call).output;
  torch::Tensor got;
  {
    const ops::testing::Autocast autocast;
    got = cast.forward(call).output;
  }
  EXPECT_EQ(got.scalar_type(), expected.scalar_type());
  EXPECT_TRUE(torch::equal(got, expected));
  EXPECT_TRUE(torch::equal(gradients_of(cast, got), gradients_of(rounded, expected)));
}

TEST_P(TorchModelLaws, BfloatCarriesStatesOver) {
  if (!model_.causal()) GTEST_SKIP() << "looks ahead";
  Trial trial(model_, 2, 9, kSeed);
  TorchSequenceModel::Call call = call_of(trial);
  call.final_state = true;
  torch_.eval();
  const TorchSequenceModel::Output expected = torch_.forward(call);
  torch_.set_precision(nn::Precision::kBfloat16);
  const TorchSequenceModel::Output got = torch_.forward(call);
  ASSERT_EQ(got.state.scalar_type(), torch::kFloat32);
  EXPECT_EQ(got.state.sizes(), expected.state.sizes());
  EXPECT_TRUE(got.state.isfinite().all().item<bool>());
}

TEST_P(TorchModelLaws, WeightsRoundTrip) {
  const Weights copy = torch_.weights();
  TorchSequenceModel other(GetParam().config(), GetParam().weights(kSeed + 1));
  other.load(copy);
  const Weights back = other.weights();
  for (const Parameter& parameter : torch_.table()) {
    const auto expected = weights_.get(parameter.name, parameter.shape);
    const auto got = back.get(parameter.name, parameter.shape);
    EXPECT_TRUE(std::ranges::equal(expected, got)) << parameter.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TorchModelLaws, ::testing::ValuesIn(all_cases()),
                         [](const auto& info) { return case_name(info); });

TEST(TorchSequenceModel, RegistersTheTable) {
  const ModelCase test_case{"names", {"model.norm=batch"}, {}};
  const TorchSequenceModel model(test_case.config(), test_case.weights(1));
  const auto trained = model.named_parameters();
  const auto buffers = model.named_buffers();
  EXPECT_EQ(trained.size() + buffers.size(), model.table().size());
  EXPECT_NE(trained.find("layers/0/norm/weight"), nullptr);
  EXPECT_NE(buffers.find("layers/0/norm/running_mean"), nullptr);
  EXPECT_NE(buffers.find("decoder/scale"), nullptr);
}

TEST(TorchSequenceModel, BatchStatisticsMoveInTrainingOnly) {
  const ModelCase test_case{"batch", {"model.norm=batch"}, {}};
  TorchSequenceModel model(test_case.config(), test_case.weights(1));
  const torch::Tensor input = torch::ones({2, 9, 1});
  const torch::Tensor mean = model.parameter("layers.0.norm.running_mean");
  const torch::Tensor before = mean.clone();
  model.eval();
  model.forward({.input = input});
  EXPECT_TRUE(torch::equal(mean, before));
  model.train();
  model.forward({.input = input});
  EXPECT_FALSE(torch::equal(mean, before));
}

TEST(TorchSequenceModel, DropoutIsAFunctionOfItsSeed) {
  for (const char* tied : {"model.dropout_tied=true", "model.dropout_tied=false"}) {
    const ModelCase test_case{"dropout", {"model.dropout=0.3", "model.mlp=1", tied}, {}};
    TorchSequenceModel model(test_case.config(), test_case.weights(1));
    const torch::Tensor input = torch::ones({4, 9, 1});
    const auto run = [&](uint64_t seed) {
      return model.forward({.input = input, .dropout_seed = nn::dropout_seed(seed)}).output;
    };
    EXPECT_TRUE(torch::equal(run(1), run(1)));
    EXPECT_FALSE(torch::equal(run(1), run(2)));
    model.eval();
    EXPECT_TRUE(torch::equal(run(1), run(2)));
  }
}

TEST(TorchSequenceModel, LabelsGiveTheLossOfTheOutput) {
  for (const char* head : {"model.tie=true", "model.head_bias=false"}) {
    const ModelCase test_case{
        "labels", {head}, {Interface::Input::kTokens, 11, Interface::Output::kStep, 11}};
    TorchSequenceModel model(test_case.config(), test_case.weights(1));
    ASSERT_TRUE(model.takes_labels());
    const torch::Tensor tokens = torch::arange(30).reshape({2, 15}) % 11;
    const torch::Tensor label = (tokens + 1) % 11;
    label[0][3] = -1;
    const torch::Tensor scores = model.forward({.tokens = tokens}).output;
    const torch::Tensor expected = torch::nn::functional::cross_entropy(
        scores.reshape({-1, 11}), label.reshape({-1}),
        torch::nn::functional::CrossEntropyFuncOptions().ignore_index(-1));
    const torch::Tensor got = model.forward({.tokens = tokens, .label = label}).loss;
    EXPECT_NEAR(got.item<double>(), expected.item<double>(), 1e-5);
  }
}

TEST(TorchSequenceModel, RejectsWhatItCannotTake) {
  const ModelCase test_case{"reject", {}, {}};
  TorchSequenceModel model(test_case.config(), test_case.weights(1));
  EXPECT_THROW(model.forward({}), InvalidArgument);
  EXPECT_THROW(model.forward({.input = torch::ones({2, 3, 2})}), InvalidArgument);
  EXPECT_THROW(model.forward({.input = torch::ones({2, 3, 1}),
                              .lengths = torch::ones({2}, torch::kInt64),
                              .final_state = true}),
               InvalidArgument);
  EXPECT_THROW(
      model.forward({.input = torch::ones({2, 3, 1}), .label = torch::ones({2, 3}, torch::kInt64)}),
      InvalidArgument);
  EXPECT_THROW(model.load(Weights()), DataError);
  EXPECT_THROW(model.parameter("nothing"), InvalidArgument);
}

}  // namespace
}  // namespace longwave::models
