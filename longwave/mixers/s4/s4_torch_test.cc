// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4/s4_torch.h"

#include "longwave/base/error.h"
#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    // A readout recovered from Ct is larger than Ct by about 1 / |1 - a^length|.
    {"Legs", "s4", {"state=4", "length=64"}, 3, 16},
    {"LegtShared", "s4", {"state=4", "init=legt", "length=40", "copies=1"}, 2, 16},
    // FouT is in ConvolutionalEqualsChunked: its constant mode makes the readout ill-conditioned,
    // so that difference quotients are mostly rounding.
    {"Lagt", "s4", {"state=6", "init=lagt", "length=64"}, 2, 16},
    {"Bidirectional", "s4", {"state=4", "length=64", "bidirectional=true"}, 3},
};
INSTANTIATE_TEST_SUITE_P(S4, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S4, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

/// Values and gradients of the form without states equal those of the form with them.
TEST(S4Torch, ConvolutionalEqualsChunked) {
  for (const char* init : {"init=legs", "init=legt", "init=fout"}) {
    for (int64_t time : {1, 37, 64}) {
      const MixerCase test_case = {"Both", "s4", {"state=8", "length=64", init}, 3};
      const TorchTrial trial(test_case, 6, torch::kFloat64);
      const torch::Tensor u = random_tensor({2, time, 3}, 1).requires_grad_();
      std::vector<torch::Tensor> leaves = {u};
      for (const auto& [name, tensor] : trial.parameters) leaves.push_back(tensor);
      const torch::Tensor weights = random_tensor({2, time, 3}, 2);
      std::vector<std::vector<torch::Tensor>> gradients;
      std::vector<torch::Tensor> outputs;
      for (bool final_state : {false, true}) {
        outputs.push_back(trial.mixer->forward({.u = u, .final_state = final_state}).y);
        gradients.push_back(torch::autograd::grad({(outputs.back() * weights).sum()}, leaves));
      }
      const auto expect_near = [&](const torch::Tensor& a, const torch::Tensor& b) {
        const double magnitude = std::max(a.abs().max().item<double>(), 1.0);
        // Both recover or truncate with Abar^length: rounding is amplified by 1 / |1 - a^length|.
        const double bound = 1e6 * std::numeric_limits<double>::epsilon() * magnitude;
        EXPECT_LE((a - b).abs().max().item<double>(), bound) << init << ", time " << time;
      };
      expect_near(outputs[0], outputs[1]);
      for (size_t i = 0; i < leaves.size(); ++i) expect_near(gradients[0][i], gradients[1][i]);
    }
  }
}

/// Beyond its kernel a layer goes on as the system that the kernel came from.
TEST(S4Torch, LongSequencesRunOnTheSameSystem) {
  const MixerCase brief = {"Brief", "s4", {"state=4", "length=16"}, 2, 16};
  const TorchTrial trial(brief, 1, torch::kFloat32);
  const auto mixer = brief.make(1);
  Trial expected(*mixer, 2, 50, 3);
  expected.state.fill(0);
  expected.prefill(*mixer);
  const torch::Tensor y =
      trial.mixer->forward({.u = tensor_of(expected.u), .state = {}, .final_state = false}).y;
  EXPECT_TRUE(close("y", *mixer, 50, expected.y.values, values_of(y)));
}

TEST(S4Torch, BidirectionalLayersRefuseSequencesLongerThanTheirKernel) {
  const TorchTrial trial({"Both", "s4", {"state=4", "length=16", "bidirectional=true"}, 2}, 1,
                         torch::kFloat32);
  const torch::Tensor u = torch::zeros({1, 17, 2});
  EXPECT_THROW(trial.mixer->forward({.u = u, .state = {}, .final_state = false}), InvalidArgument);
}

}  // namespace
}  // namespace longwave::mixers::testing
