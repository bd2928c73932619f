// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s5/s5_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "s5", {"state=6"}, 2},
    {"Blocks", "s5", {"state=8", "blocks=2"}, 3},
    {"FullBilinear", "s5", {"state=4", "conj_sym=false", "discretization=bilinear"}, 2},
    {"Unclipped", "s5", {"state=4", "clip_eigs=false"}, 2},
    {"Bidirectional", "s5", {"state=4", "bidirectional=true"}, 3},
};
INSTANTIATE_TEST_SUITE_P(S5, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S5, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

torch::Tensor some_intervals(int64_t batch, int64_t time) {
  return torch::exp2(random_tensor({batch, time}, 8));
}

TEST(S5Irregular, TorchEqualsTorchFree) {
  const MixerCase& test_case = kCases[0];
  constexpr int64_t kTime = 21;
  const auto layer = s5::make_s5(test_case.options(), 2, test_case.weights(4), 1);
  const TorchTrial torch_trial(test_case, 4, torch::kFloat32);
  const auto& torch_layer = dynamic_cast<const s5::S5Torch&>(*torch_trial.mixer);
  Trial trial(*layer, 2, kTime, 5);
  const torch::Tensor intervals = some_intervals(2, kTime).to(torch::kFloat32);
  const auto output = torch_layer.forward(
      {.u = tensor_of(trial.u), .state = tensor_of(trial.state), .final_state = true}, intervals);
  Workspace workspace(layer->irregular_workspace_bytes(2, kTime));
  layer->prefill_irregular({.u = trial.u.view,
                            .intervals = {intervals.data_ptr<float>(), {2, kTime}},
                            .state = trial.state.view,
                            .y = trial.y.view},
                           workspace);
  EXPECT_TRUE(close("y", *layer, kTime, trial.y.values, values_of(output.y)));
  EXPECT_TRUE(close("state", *layer, kTime, trial.state.values, values_of(output.state)));
}

TEST(S5Irregular, IntervalsHaveTheGradientOfFiniteDifferences) {
  const TorchTrial trial(kCases[0], 4, torch::kFloat64);
  const auto& layer = dynamic_cast<const s5::S5Torch&>(*trial.mixer);
  const torch::Tensor u = random_tensor({1, 5, 2}, 1), weight = random_tensor({1, 5, 2}, 2);
  const torch::Tensor intervals = some_intervals(1, 5).requires_grad_();
  const auto loss = [&] {
    return (layer.forward({.u = u, .state = {}, .final_state = false}, intervals).y * weight).sum();
  };
  loss().backward();
  const torch::NoGradGuard no_grad;
  double* values = intervals.data_ptr<double>();
  constexpr double kStep = 1e-5;
  for (int64_t t = 0; t < 5; ++t) {
    const double value = values[t];
    values[t] = value + kStep;
    const double above = loss().item<double>();
    values[t] = value - kStep;
    const double below = loss().item<double>();
    values[t] = value;
    EXPECT_NEAR((above - below) / (2 * kStep), intervals.grad().data_ptr<double>()[t], 1e-8);
  }
}

}  // namespace
}  // namespace longwave::mixers::testing
