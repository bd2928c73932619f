// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/testing/laws_torch.h"

#include "longwave/base/error.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/testing/autocast_torch.h"

namespace longwave::mixers::testing {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TorchMixerLaws);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CausalTorchMixerLaws);

TorchTrial::TorchTrial(const MixerCase& test_case, uint64_t seed,
                       const torch::TensorOptions& options) {
  const Weights weights = test_case.weights(seed);
  for (const Parameter& parameter : test_case.table()) {
    const auto values = weights.get(parameter.name, parameter.shape);
    torch::Tensor tensor = torch::empty(parameter.shape);
    std::ranges::copy(values, tensor.data_ptr<float>());
    parameters[parameter.name] = tensor.to(options).requires_grad_();
  }
  mixer = make_torch_mixer(test_case.family, test_case.options(), test_case.channels,
                           [this](const std::string& name) { return parameters.at(name); });
  state_size = test_case.make(seed)->state_size();
}

std::vector<float> values_of(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().to(torch::kFloat32).contiguous();
  return {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()};
}

torch::Tensor random_tensor(const std::vector<int64_t>& shape, uint64_t seed) {
  torch::Tensor tensor = torch::empty(shape, torch::kFloat64);
  Random random(seed, stream_id("tensor"));
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<double>()[i] = random.uniform(-1, 1);
  }
  return tensor;
}

double most(const torch::Tensor& tensor) {
  return tensor.numel() == 0 ? 0 : tensor.abs().max().item<double>();
}

TEST_P(TorchMixerLaws, TorchEqualsTorchFree) {
  const auto mixer = GetParam().make(kSeed);
  const TorchTrial torch_trial(GetParam(), kSeed, torch::kFloat32);
  for (int64_t time : {1, 2, 33}) {
    SCOPED_TRACE(::testing::Message() << "time " << time);
    Trial trial(*mixer, 3, time, kSeed);
    const auto output = torch_trial.mixer->forward(
        {.u = tensor_of(trial.u), .state = tensor_of(trial.state), .final_state = true});
    trial.prefill(*mixer);
    EXPECT_TRUE(close("y", *mixer, time, trial.y.values, values_of(output.y)));
    EXPECT_TRUE(close("state", *mixer, time, trial.state.values, values_of(output.state)));
  }
}

TEST_P(TorchMixerLaws, PackedEqualsTorchFree) {
  constexpr int64_t kTime = 19;
  const auto mixer = GetParam().make(kSeed);
  const TorchTrial torch_trial(GetParam(), kSeed, torch::kFloat32);
  Trial trial(*mixer, 2, kTime, kSeed);
  torch::Tensor starts = torch::zeros({2, kTime}, torch::kUInt8);
  for (int64_t t : {0, 4, 5, 17}) starts[0][t] = 1;
  starts[1][9] = 1;
  const auto forward = [&] {
    return torch_trial.mixer->forward({.u = tensor_of(trial.u),
                                       .state = tensor_of(trial.state),
                                       .final_state = true,
                                       .starts = starts});
  };
  EXPECT_EQ(torch_trial.mixer->packs(), mixer->packs());
  if (!mixer->packs()) {
    EXPECT_THROW(forward(), InvalidArgument);
    return;
  }
  const auto output = forward();
  Workspace workspace(mixer->workspace_bytes(2, kTime));
  mixer->prefill({.u = trial.u.view,
                  .state = trial.state.view,
                  .y = trial.y.view,
                  .starts = {starts.data_ptr<uint8_t>(), {2, kTime}}},
                 workspace);
  EXPECT_TRUE(close("y", *mixer, kTime, trial.y.values, values_of(output.y)));
  EXPECT_TRUE(close("state", *mixer, kTime, trial.state.values, values_of(output.state)));
}

TEST_P(TorchMixerLaws, NoStateIsTheZeroState) {
  const TorchTrial trial(GetParam(), kSeed, torch::kFloat64);
  const torch::Tensor u = random_tensor({2, 9, GetParam().channels}, 1);
  const torch::Tensor zeros = torch::zeros({2, trial.state_size}, torch::kFloat64);
  const auto without = trial.mixer->forward({.u = u, .state = {}, .final_state = false});
  const auto with = trial.mixer->forward({.u = u, .state = zeros, .final_state = true});
  // S4 has another form for each; the bound is that of float, the arithmetic is double.
  EXPECT_TRUE(close("y", *GetParam().make(kSeed), 9, values_of(with.y), values_of(without.y)));
  EXPECT_FALSE(without.state.defined());
}

/// Autocast asks for nothing but a rounded input: parameters and states stay what they are. y is
/// float32, and not rounded where the family computes in that.
TEST_P(TorchMixerLaws, AutocastRoundsTheSignal) {
  const TorchTrial trial(GetParam(), kSeed, torch::kFloat32);
  const torch::Tensor u = random_tensor({2, 9, GetParam().channels}, 1).to(torch::kFloat32);
  const auto expected = trial.mixer->forward({.u = u.to(torch::kBFloat16), .final_state = true});
  const ops::testing::Autocast autocast;
  const auto got = trial.mixer->forward({.u = u, .final_state = true});
  EXPECT_EQ(got.y.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(torch::equal(got.y.to(torch::kBFloat16), expected.y));
  EXPECT_TRUE(torch::equal(got.state, expected.state));
}

/// Who maps u makes no difference, not even in the last bit.
TEST_P(TorchMixerLaws, ProjectedEqualsSignal) {
  const TorchTrial trial(GetParam(), kSeed, torch::kFloat32);
  const TorchMixer::Projection first = trial.mixer->input_projection();
  if (!first.W.defined()) return;
  const torch::Tensor state = random_tensor({3, trial.state_size}, 2).to(torch::kFloat32);
  for (int64_t time : {0, 1, 33}) {
    const torch::Tensor u = random_tensor({3, time, GetParam().channels}, 1).to(torch::kFloat32);
    const torch::Tensor projected = nn::linear(u, first.W, first.b);
    const auto expected = trial.mixer->forward({.u = u, .state = state, .final_state = true});
    const auto got =
        trial.mixer->forward({.state = state, .final_state = true, .projected = projected});
    EXPECT_TRUE(torch::equal(expected.y, got.y)) << "time " << time;
    EXPECT_TRUE(torch::equal(expected.state, got.state)) << "time " << time;
  }
}

TEST_P(CausalTorchMixerLaws, SplitInvariance) {
  const TorchTrial trial(GetParam(), kSeed, torch::kFloat64);
  constexpr int64_t kTime = 19;
  const torch::Tensor u = random_tensor({2, kTime, GetParam().channels}, 1);
  const torch::Tensor state = random_tensor({2, trial.state_size}, 2);
  const auto whole = trial.mixer->forward({.u = u, .state = state, .final_state = true});
  for (int64_t cut : {0, 1, 10, 19}) {
    const auto first =
        trial.mixer->forward({.u = u.slice(1, 0, cut), .state = state, .final_state = true});
    const auto second =
        trial.mixer->forward({.u = u.slice(1, cut), .state = first.state, .final_state = true});
    const double bound = Tolerance::sum<double>(kTime * (trial.state_size + 1),
                                                1 + most(whole.y) + most(whole.state))
                             .bound;
    const torch::Tensor y = torch::cat({first.y, second.y}, 1);
    EXPECT_LE(most(y - whole.y), bound) << "cut at " << cut;
    EXPECT_LE(most(second.state - whole.state), bound) << "cut at " << cut;
  }
}

/// What is lost at a cut, the state carries: also of gradients.
TEST_P(CausalTorchMixerLaws, GradientsPassThroughTheStateOfACut) {
  constexpr int64_t kTime = 11, kCut = 6;
  const torch::Tensor weight = random_tensor({2, kTime, GetParam().channels}, 3);
  std::vector<std::map<std::string, torch::Tensor>> gradients;
  for (const std::vector<int64_t>& cuts : {std::vector<int64_t>{0, kTime}, {0, kCut, kTime}}) {
    const TorchTrial trial(GetParam(), kSeed, torch::kFloat64);
    const torch::Tensor u = random_tensor({2, kTime, GetParam().channels}, 1).requires_grad_();
    torch::Tensor loss = torch::zeros({}, torch::kFloat64), state;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto output = trial.mixer->forward(
          {.u = u.slice(1, cuts[i], cuts[i + 1]), .state = state, .final_state = true});
      loss = loss + (output.y * weight.slice(1, cuts[i], cuts[i + 1])).sum();
      state = output.state;
    }
    loss.backward();
    gradients.emplace_back();
    for (const auto& [name, tensor] : trial.parameters) {
      if (tensor.grad().defined()) gradients.back()[name] = tensor.grad();
    }
    gradients.back()["(input)"] = u.grad();
  }
  for (const auto& [name, expected] : gradients[0]) {
    const double bound =
        GetParam().intermediate *
        Tolerance::sum<double>(2 * kTime * (GetParam().channels + 64), 64 * (1 + most(expected)))
            .bound;
    EXPECT_LE(most(gradients[1].at(name) - expected), bound) << name;
  }
}

/// Every element of every parameter, of the input and of the initial state, through the output and
/// the final state, by differences of fourth order in double:
///
///   f'(x) = (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h
///
/// Where the family packs, one of the sequences is two.
TEST_P(TorchMixerLaws, GradientMatchesFiniteDifference) {
  TorchTrial trial(GetParam(), kSeed, torch::kFloat64);
  constexpr int64_t kBatch = 2, kTime = 7;
  torch::Tensor starts;
  if (trial.mixer->packs()) {
    starts = torch::zeros({kBatch, kTime}, torch::kUInt8);
    starts[1][4] = 1;
  }
  const int64_t channels = GetParam().channels;
  std::map<std::string, torch::Tensor> inputs = trial.parameters;
  inputs["(input)"] = random_tensor({kBatch, kTime, channels}, 1).requires_grad_();
  inputs["(state)"] = random_tensor({kBatch, trial.state_size}, 2).requires_grad_();
  const torch::Tensor y_weight = random_tensor({kBatch, kTime, channels}, 3);
  const torch::Tensor state_weight = random_tensor({kBatch, trial.state_size}, 4);
  const auto loss = [&] {
    const auto output = trial.mixer->forward({.u = inputs.at("(input)"),
                                              .state = inputs.at("(state)"),
                                              .final_state = true,
                                              .starts = starts});
    return (output.y * y_weight).sum() + (output.state * state_weight).sum();
  };
  loss().backward();

  const torch::NoGradGuard no_grad;
  constexpr double kStep = 1e-4;
  const double loss_size =
      GetParam().intermediate * (std::abs(loss().item<double>()) + kBatch * kTime * channels);
  for (auto& [name, tensor] : inputs) {
    if (tensor.numel() == 0) continue;
    ASSERT_TRUE(tensor.grad().defined()) << name << " has no gradient";
    const torch::Tensor gradient = tensor.grad().contiguous();
    // Rounding of the loss over the step; the fifth derivative times the step to the fourth.
    const double bound = 64 * loss_size * std::numeric_limits<double>::epsilon() / kStep +
                         1e5 * std::pow(kStep, 4) * (1 + gradient.abs().max().item<double>());
    Worst worst("gradient of " + name);
    double* values = tensor.data_ptr<double>();
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double value = values[i];
      const auto loss_at = [&](double offset) {
        values[i] = value + offset;
        return loss().item<double>();
      };
      const double near = loss_at(kStep) - loss_at(-kStep);
      const double far = loss_at(2 * kStep) - loss_at(-2 * kStep);
      values[i] = value;
      worst.compare(i, (8 * near - far) / (12 * kStep), gradient.data_ptr<double>()[i], {bound});
    }
    EXPECT_TRUE(worst.ok());
  }
}

}  // namespace longwave::mixers::testing
