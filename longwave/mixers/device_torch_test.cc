// SPDX-License-Identifier: Apache-2.0

/// The laws of training forms on a GPU, for all families in one program: what a layer gives there,
/// and its gradients, are what the CPU gives in float64, up to what the CPU itself rounds and a
/// little. Whole, packed, cut and step by step are held against the same numbers.

#include "longwave/ops/testing/device_torch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

using torch::Tensor;

/// Shapes that kernels take apart in different ways, and some that they do not offer.
const MixerCase kCases[] = {
    {"S4", "s4", {"state=8", "length=256"}, 5},
    {"S4BothWays", "s4", {"state=4", "length=256", "bidirectional=true"}, 3},
    {"Lssl", "lssl", {"state=6"}, 3},
    {"Dss", "dss", {"state=16"}, 5},
    {"S4d", "s4d", {"state=64"}, 24},
    {"S4dOdd", "s4d", {"state=6", "B_init=hippo"}, 3},
    {"S4dBothWays", "s4d", {"state=8", "bidirectional=true"}, 8},
    {"S5", "s5", {"state=16"}, 24},
    {"S5BothWays", "s5", {"state=6", "bidirectional=true"}, 3},
    {"Lru", "lru", {"state=12"}, 7},
    {"Mamba", "mamba", {}, 24},
    {"MambaOdd", "mamba", {"state=3", "expand=1", "width=3"}, 5},
    {"MambaWideFilter", "mamba", {"width=12"}, 8},
    {"MambaManyStates", "mamba", {"state=72"}, 4},
    {"Mamba2", "mamba2", {"state=16", "head_dim=8"}, 24},
    {"Mamba2Groups", "mamba2", {"state=5", "head_dim=3", "groups=2", "norm=before_gate"}, 6},
    {"Mamba2NoNorm", "mamba2", {"state=8", "head_dim=4", "norm=none", "skip=channel"}, 6},
    {"Mamba2WideFilter", "mamba2", {"state=8", "head_dim=8", "width=12"}, 8},
    {"Mamba2ManyStates", "mamba2", {"state=264", "head_dim=4"}, 4},
    {"Attention", "attention", {"window=20", "heads=4", "kv_heads=2", "head_dim=4"}, 8},
    {"Lstm", "lstm", {}, 6},
    {"Gru", "gru", {}, 6},
    {"Cnn", "cnn", {"width=3", "dilation=2"}, 6},
};

TEST(DeviceMixers, NoFamilyIsLeftOut) {
  for (const Family& family : families()) {
    EXPECT_TRUE(std::ranges::any_of(kCases, [&](const auto& c) { return c.family == family.name; }))
        << family.name;
  }
}

/// Where a layer runs, and in what.
struct Place {
  torch::Device device;
  torch::Dtype parameters, signal;
};
const Place kExact = {torch::kCPU, torch::kFloat64, torch::kFloat64};

/// What it runs on.
struct Signals {
  Tensor u, state, starts;        // all float64 but the last
  Tensor y_weight, state_weight;  // of the loss
  std::vector<int64_t> cuts;      // where the state is handed on, from 0 to the last step
};

/// Numbers that bfloat16 holds.
Tensor narrow_numbers(const std::vector<int64_t>& shape, uint64_t seed) {
  return random_tensor(shape, seed).to(torch::kBFloat16).to(torch::kFloat64);
}

Signals signals_of(const MixerCase& test_case, int64_t time) {
  constexpr int64_t kBatch = 3;
  const TorchTrial trial(test_case, 1, torch::kFloat64);
  const torch::NoGradGuard no_grad;
  const Tensor earlier = narrow_numbers({kBatch, 5, test_case.channels}, 1);
  const Tensor state = trial.mixer->forward({.u = earlier, .final_state = true}).state;
  return {.u = narrow_numbers({kBatch, time, test_case.channels}, 2),
          .state = state.to(torch::kFloat32).to(torch::kFloat64),
          .starts = {},
          .y_weight = narrow_numbers({kBatch, time, test_case.channels}, 3),
          .state_weight = narrow_numbers(state.sizes().vec(), 4),
          .cuts = {0, time}};
}

/// What a layer gives and all gradients, on the CPU in float64.
struct Results {
  std::map<std::string, Tensor> outputs, gradients;

  double whole_gradient() const {
    double squares = 0;
    for (const auto& [name, tensor] : gradients) squares += tensor.square().sum().item<double>();
    return std::sqrt(squares);
  }
};

Results results(const MixerCase& test_case, const Place& place, const Signals& signals) {
  const auto real = torch::TensorOptions(place.device).dtype(place.parameters);
  const TorchTrial trial(test_case, 1, real);
  const auto moved = [&](const Tensor& tensor) { return tensor.to(place.device); };
  std::map<std::string, Tensor> leaves = trial.parameters;
  leaves["(input)"] = signals.u.clone().to(real.dtype(place.signal)).requires_grad_();
  leaves["(state)"] = signals.state.clone().to(real).requires_grad_();
  const Tensor starts = signals.starts.defined() ? moved(signals.starts) : Tensor();
  std::vector<Tensor> pieces;
  Tensor state = leaves.at("(state)");
  for (size_t i = 0; i + 1 < signals.cuts.size(); ++i) {
    const auto cut = [&](const Tensor& tensor) {
      return tensor.defined() ? tensor.slice(1, signals.cuts[i], signals.cuts[i + 1]) : tensor;
    };
    const auto output = trial.mixer->forward({.u = cut(leaves.at("(input)")),
                                              .state = state,
                                              .final_state = true,
                                              .starts = cut(starts)});
    pieces.push_back(output.y);
    state = output.state;
  }
  const Tensor y = torch::cat(pieces, 1);
  EXPECT_EQ(y.scalar_type(), place.signal);
  const Tensor loss = (y.to(torch::kFloat64) * moved(signals.y_weight)).sum() +
                      (state.to(torch::kFloat64) * moved(signals.state_weight)).sum();
  loss.backward();
  const auto on_cpu = [](const Tensor& tensor) {
    return tensor.detach().to(torch::kCPU).to(torch::kFloat64);
  };
  Results found;
  found.outputs = {{"y", on_cpu(y)}, {"state", on_cpu(state)}};
  for (const auto& [name, leaf] : leaves) {
    if (leaf.grad().defined()) found.gradients[name] = on_cpu(leaf.grad());
  }
  return found;
}

double distance(const Tensor& a, const Tensor& b) { return (a - b).norm().item<double>(); }

/// Each tensor within twice the error of the CPU and `slack` of its size.
void expect_as_close(const Results& got, const Results& cpu, const Results& exact, double slack) {
  for (const auto& [name, wanted] : exact.outputs) {
    const double bound =
        2 * distance(cpu.outputs.at(name), wanted) + slack * (1e-3 + wanted.norm().item<double>());
    EXPECT_LE(distance(got.outputs.at(name), wanted), bound) << name;
  }
}

class DeviceMixerLaws : public ops::testing::OnDevice<::testing::TestWithParam<MixerCase>> {
 protected:
  /// In float32 each gradient, of 16 bits all together: rounding to 9 bits makes small ones noise.
  static void expect_law(const Signals& reference, const Signals& signals) {
    const MixerCase& test_case = GetParam();
    const Results exact = results(test_case, kExact, reference);
    const double whole = exact.whole_gradient();
    for (const torch::Dtype type : {torch::kFloat32, torch::kBFloat16}) {
      SCOPED_TRACE(torch::toString(type));
      const bool narrow = type != torch::kFloat32;
      const double slack = narrow ? 0.01 : 2e-3;
      const Results cpu = results(test_case, {torch::kCPU, torch::kFloat32, type}, reference);
      const Results got = results(test_case, {torch::kCUDA, torch::kFloat32, type}, signals);
      expect_as_close(got, cpu, exact, slack);
      double error_of_cpu = 0, error = 0;
      for (const auto& [name, wanted] : exact.gradients) {
        ASSERT_EQ(got.gradients.count(name), 1) << name << " has no gradient";
        const double found = distance(got.gradients.at(name), wanted);
        const double of_cpu = distance(cpu.gradients.at(name), wanted);
        if (!narrow) {
          EXPECT_LE(found, 2 * of_cpu + slack * (wanted.norm().item<double>() + 1e-3 * whole))
              << "gradient of " << name;
        }
        error += found * found;
        error_of_cpu += of_cpu * of_cpu;
      }
      EXPECT_LE(std::sqrt(error), 2 * std::sqrt(error_of_cpu) + slack * whole) << "gradients";
    }
  }

  static bool causal() { return GetParam().make(1)->causal(); }
};

TEST_P(DeviceMixerLaws, WholeEqualsTheCpu) {
  for (const int64_t time : {1, 150}) {
    SCOPED_TRACE(::testing::Message() << "time " << time);
    const Signals signals = signals_of(GetParam(), time);
    expect_law(signals, signals);
  }
}

TEST_P(DeviceMixerLaws, PackedEqualsTheCpu) {
  constexpr int64_t kTime = 75;
  if (!GetParam().make(1)->packs()) return;
  Signals signals = signals_of(GetParam(), kTime);
  signals.starts = torch::zeros({3, kTime}, torch::kUInt8);
  for (int64_t t : {0, 4, 5, 17, 64, 70}) signals.starts[0][t] = 1;
  signals.starts[1][31] = 1;
  expect_law(signals, signals);
}

/// What is lost at a cut, the state carries: also of gradients.
TEST_P(DeviceMixerLaws, CutsEqualTheWhole) {
  constexpr int64_t kTime = 75;
  if (!causal()) return;
  const Signals whole = signals_of(GetParam(), kTime);
  Signals cut = whole;
  cut.cuts = {0, 1, 18, 64, kTime};
  expect_law(whole, cut);
}

TEST_P(DeviceMixerLaws, StepByStepEqualsTheWhole) {
  constexpr int64_t kTime = 7;
  if (!causal()) return;
  const Signals whole = signals_of(GetParam(), kTime);
  Signals steps = whole;
  steps.cuts.clear();
  for (int64_t t = 0; t <= kTime; ++t) steps.cuts.push_back(t);
  expect_law(whole, steps);
}

INSTANTIATE_TEST_SUITE_P(All, DeviceMixerLaws, ::testing::ValuesIn(kCases), case_name);

}  // namespace
}  // namespace longwave::mixers::testing
