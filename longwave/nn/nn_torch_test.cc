// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/nn/dropout_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/nn/mixing_torch.h"
#include "longwave/nn/mlp_torch.h"
#include "longwave/nn/moe_torch.h"
#include "longwave/nn/norm_torch.h"
#include "longwave/ops/testing/gradient_check_torch.h"
#include "longwave/ops/testing/live_bytes_torch.h"

namespace longwave::nn {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::weighted_sum;
using longwave::testing::Worst;

constexpr int64_t kBatch = 3, kTime = 70, kChannels = 5;  // more steps than a tile

/// Numbers in [-1, 1) that are the same for a seed on every machine.
torch::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed) {
  const torch::Tensor tensor = torch::empty(shape);
  Random random(seed);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  }
  return tensor;
}

/// A layer's parameters in both worlds.
struct Twins {
  Weights weights;
  std::map<std::string, torch::Tensor> tensors;

  explicit Twins(ParameterTable table) {
    for (Parameter& parameter : table) parameter.init = uniform_init(0.25, 1.25);
    weights = initialise(table, 1);
    for (const Parameter& parameter : table) {
      const auto values = weights.get(parameter.name, parameter.shape);
      const torch::Tensor tensor = torch::empty(parameter.shape);
      std::ranges::copy(values, tensor.data_ptr<float>());
      tensors[parameter.name] = tensor;
    }
  }
  ParameterLookup lookup() const {
    return [this](const std::string& name) { return tensors.at(name); };
  }
  /// float64 copies that require gradients.
  Twins exact() const {
    Twins copy = *this;
    for (auto& [name, tensor] : copy.tensors) {
      const bool trained = !name.starts_with("running");
      tensor = tensor.to(torch::kFloat64).requires_grad_(trained);
    }
    return copy;
  }
};

View<float, 2> rows_of(const torch::Tensor& x) {
  return {x.data_ptr<float>(), {x.numel() / x.size(-1), x.size(-1)}};
}

void expect_close(const char* what, const torch::Tensor& expected, const torch::Tensor& got,
                  int64_t terms) {
  ASSERT_EQ(expected.sizes(), got.sizes()) << what;
  const torch::Tensor a = expected.detach().to(torch::kFloat64).contiguous();
  const torch::Tensor b = got.detach().to(torch::kFloat64).contiguous();
  const double magnitude = a.numel() == 0 ? 1 : 1 + a.abs().max().item<double>();
  Worst worst(what);
  const bool exact = got.scalar_type() == torch::kFloat64;
  const Tolerance tolerance = exact ? Tolerance::sum<double>(terms, 4 * magnitude)
                                    : Tolerance::sum<float>(terms, 4 * magnitude);
  for (int64_t i = 0; i < a.numel(); ++i) {
    worst.compare(i, a.data_ptr<double>()[i], b.data_ptr<double>()[i], tolerance);
  }
  EXPECT_TRUE(worst.ok());
}

using Form = std::function<torch::Tensor(const std::vector<torch::Tensor>& inputs,
                                         const ParameterLookup& parameters)>;

/// Our node of the graph and the plain composition of torch's own: outputs and all gradients, in
/// float64 and in float32.
void expect_same_graph(const Twins& twins, const std::vector<torch::Tensor>& inputs,
                       const Form& ours, const Form& plain) {
  for (torch::Dtype dtype : {torch::kFloat64, torch::kFloat32}) {
    std::vector<std::vector<torch::Tensor>> results;
    for (const Form* form : {&ours, &plain}) {
      Twins copy = twins.exact();
      // The plain form always judges in float64.
      const torch::Dtype own = form == &ours ? dtype : torch::kFloat64;
      std::vector<torch::Tensor> leaves, operands;
      for (auto& [name, tensor] : copy.tensors) {
        tensor = tensor.detach().to(own).requires_grad_(tensor.requires_grad());
        if (tensor.requires_grad()) leaves.push_back(tensor);
      }
      for (const torch::Tensor& input : inputs) {
        operands.push_back(input.to(own).clone().requires_grad_());
        leaves.push_back(operands.back());
      }
      const torch::Tensor output = (*form)(operands, copy.lookup());
      weighted_sum(output.to(torch::kFloat64)).backward();
      std::vector<torch::Tensor> result = {output};
      for (const torch::Tensor& leaf : leaves) result.push_back(leaf.grad());
      for (const auto& [name, tensor] : copy.tensors) {
        if (!tensor.requires_grad()) result.push_back(tensor);
      }
      results.push_back(result);
    }
    ASSERT_EQ(results[0].size(), results[1].size());
    for (size_t i = 0; i < results[0].size(); ++i) {
      const std::string what = "result " + std::to_string(i);
      // Gradients of parameters sum over all rows.
      expect_close(what.c_str(), results[1][i], results[0][i], kBatch * kTime * kChannels);
    }
  }
}

torch::Tensor plain_norm(NormKind kind, const torch::Tensor& x, const ParameterLookup& p) {
  const double epsilon = kNormEpsilon;
  if (kind == NormKind::kLayer) {
    return torch::layer_norm(x, {x.size(-1)}, p("weight"), p("bias"), epsilon);
  }
  if (kind == NormKind::kRms) {
    return x * torch::rsqrt(x.square().mean(-1, true) + epsilon) * p("weight");
  }
  const torch::Tensor turned = x.transpose(1, 2);
  return torch::batch_norm(turned, p("weight"), p("bias"), p("running_mean"), p("running_var"),
                           true, kNormMomentum, epsilon, false)
      .transpose(1, 2);
}

torch::Tensor plain_activation(ops::Activation f, const torch::Tensor& x) {
  if (f == ops::Activation::kGelu) return torch::gelu(x, "tanh");
  return f == ops::Activation::kSilu ? torch::silu(x) : x;
}

torch::Tensor plain_mixing(const MixingCall& call, const ParameterLookup& p) {
  const torch::Tensor active = plain_activation(call.activation, call.v);
  torch::Tensor h = active;
  if (call.kind != MixingKind::kNone) h = torch::linear(active, p("weight"), p("bias"));
  if (call.kind == MixingKind::kGlu) h = torch::glu(h, -1);
  if (call.kind == MixingKind::kHalfGlu1) h = active * torch::sigmoid(h);
  if (call.kind == MixingKind::kHalfGlu2) h = call.v * torch::sigmoid(h);
  return call.x + (call.mask.defined() ? call.mask * h : h);
}

constexpr NormKind kNorms[] = {NormKind::kLayer, NormKind::kRms, NormKind::kBatch};
constexpr MixingKind kMixings[] = {MixingKind::kNone, MixingKind::kLinear, MixingKind::kGlu,
                                   MixingKind::kHalfGlu1, MixingKind::kHalfGlu2};
constexpr ops::Activation kActivations[] = {ops::Activation::kIdentity, ops::Activation::kGelu,
                                            ops::Activation::kSilu};

TEST(Linear, TorchEqualsTorchFree) {
  const Twins twins(linear_parameters(kChannels, 7));
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor expected = linear(x, twins.lookup());
  const torch::Tensor got = torch::full({kBatch, kTime, 7}, NAN);
  Linear(twins.weights, kChannels, 7).apply(rows_of(x), rows_of(got));
  expect_close("y", expected, got, kChannels);
}

TEST(Norm, TorchEqualsTorchFree) {
  for (NormKind kind : kNorms) {
    const Twins twins(norm_parameters(kind, kChannels));
    const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
    const torch::Tensor expected =
        norm(kind, x, torch::Tensor(), Phase::kEvaluation, twins.lookup());
    const torch::Tensor got = torch::full_like(x, NAN);
    Norm(twins.weights, kind, kChannels).apply(rows_of(x), rows_of(got));
    expect_close("y", expected, got, kChannels);
  }
}

TEST(Norm, GraphEqualsPlainTorch) {
  for (NormKind kind : kNorms) {
    expect_same_graph(
        Twins(norm_parameters(kind, kChannels)), {random_tensor({kBatch, kTime, kChannels}, 2)},
        [&](const auto& inputs, const ParameterLookup& p) {
          return norm(kind, inputs[0], torch::Tensor(), Phase::kTraining, p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          return plain_norm(kind, inputs[0], p);
        });
  }
}

constexpr int64_t kOutputs = 4;

struct NormLinearCase {
  NormKind kind;
  int64_t time;
  torch::Tensor x, W, b;  // b undefined in every other case

  NormLinear call(const std::vector<torch::Tensor>& inputs) const {
    return {.kind = kind,
            .phase = Phase::kTraining,
            .x = inputs[0],
            .W = inputs[1],
            .b = inputs.size() > 2 ? inputs[2] : torch::Tensor()};
  }
  std::vector<torch::Tensor> inputs() const {
    return b.defined() ? std::vector{x, W, b} : std::vector{x, W};
  }
};

std::vector<NormLinearCase> norm_linear_cases(std::initializer_list<int64_t> times) {
  std::vector<NormLinearCase> cases;
  for (NormKind kind : kNorms) {
    for (int64_t time : times) {
      for (bool bias : {false, true}) {
        cases.push_back({.kind = kind,
                         .time = time,
                         .x = random_tensor({kBatch, time, kChannels}, 2),
                         .W = random_tensor({kOutputs, kChannels}, 3),
                         .b = bias ? random_tensor({kOutputs}, 4) : torch::Tensor()});
      }
    }
  }
  return cases;
}

TEST(NormLinear, GraphEqualsPlainTorch) {
  for (const NormLinearCase& test : norm_linear_cases({1, kTime})) {
    expect_same_graph(
        Twins(norm_parameters(test.kind, kChannels)), test.inputs(),
        [&](const auto& inputs, const ParameterLookup& p) {
          return norm_linear(test.call(inputs), p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          const torch::Tensor y = torch::linear(plain_norm(test.kind, inputs[0], p), inputs[1]);
          return test.b.defined() ? y + inputs[2] : y;
        });
  }
}

TEST(NormLinear, GradientMatchesFiniteDifference) {
  for (const NormLinearCase& test : norm_linear_cases({3})) {
    if (test.kind == NormKind::kBatch) continue;  // moves its running statistics
    const Twins twins = Twins(norm_parameters(test.kind, kChannels)).exact();
    std::vector<longwave::testing::Operand> operands;
    std::vector<torch::Tensor> inputs;
    for (const torch::Tensor& input : test.inputs()) {
      inputs.push_back(input.to(torch::kFloat64).requires_grad_());
      operands.push_back({"input " + std::to_string(operands.size()), inputs.back()});
    }
    for (const auto& [name, tensor] : twins.tensors) operands.push_back({name, tensor});
    longwave::testing::expect_gradients(
        [&] { return weighted_sum(norm_linear(test.call(inputs), twins.lookup())); }, operands);
  }
}

TEST(NormLinear, HasTheBitsOfNormAndLinear) {
  for (const NormLinearCase& test : norm_linear_cases({0, 1, kTime})) {
    if (test.kind == NormKind::kBatch && test.time == 0) continue;
    const Twins twins(norm_parameters(test.kind, kChannels));
    const Twins same(norm_parameters(test.kind, kChannels));
    const torch::Tensor normed =
        norm(test.kind, test.x, torch::Tensor(), Phase::kTraining, twins.lookup());
    EXPECT_TRUE(torch::equal(linear(normed, test.W, test.b),
                             norm_linear(test.call(test.inputs()), same.lookup())));
  }
}

TEST(NormLinear, GradientsOfNoStepsAreZero) {
  for (const NormLinearCase& test : norm_linear_cases({0})) {
    if (test.kind == NormKind::kBatch) continue;
    const Twins twins = Twins(norm_parameters(test.kind, kChannels)).exact();
    std::vector<torch::Tensor> inputs = test.inputs();
    for (torch::Tensor& input : inputs) input = input.to(torch::kFloat64).requires_grad_();
    norm_linear(test.call(inputs), twins.lookup()).sum().backward();
    for (const torch::Tensor& input : inputs) {
      EXPECT_TRUE(torch::equal(input.grad(), torch::zeros_like(input)));
    }
    for (const auto& [name, tensor] : twins.tensors) {
      EXPECT_TRUE(torch::equal(tensor.grad(), torch::zeros_like(tensor))) << name;
    }
  }
}

TEST(NormLinear, KeepsItsInputAlone) {
  for (NormKind kind : {NormKind::kLayer, NormKind::kRms}) {
    const Twins twins = Twins(norm_parameters(kind, kChannels)).exact();
    const auto options = torch::TensorOptions(torch::kFloat64).requires_grad(true);
    const torch::Tensor x = torch::rand({kBatch, kTime, kChannels}, options);
    const torch::Tensor W = torch::rand({kOutputs, kChannels}, options);
    const longwave::testing::LiveBytes live;
    const torch::Tensor y = norm_linear(
        {.kind = kind, .phase = Phase::kTraining, .x = x, .W = W, .b = {}}, twins.lookup());
    const int64_t moments = 2 * kBatch * kTime;
    EXPECT_EQ(live.now(), 8 * (y.numel() + moments));
  }
}

TEST(Mixing, TorchEqualsTorchFree) {
  for (MixingKind kind : kMixings) {
    for (ops::Activation f : kActivations) {
      const Twins twins(mixing_parameters(kind, kChannels));
      const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
      const torch::Tensor v = random_tensor({kBatch, kTime, kChannels}, 2);
      const torch::Tensor expected =
          mixing({.kind = kind, .activation = f, .x = x, .v = v, .mask = {}}, twins.lookup());
      const Mixing free(twins.weights, kind, f, kChannels);
      Workspace workspace(free.workspace_bytes(kBatch * kTime));
      const torch::Tensor got = x.clone();
      free.apply(rows_of(got), rows_of(v), workspace);
      expect_close("x", expected, got, kChannels);
    }
  }
}

TEST(Mixing, GraphEqualsPlainTorch) {
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor v = random_tensor({kBatch, kTime, kChannels}, 2);
  const torch::Tensor masks[] = {torch::Tensor(), random_tensor({kBatch, 1, kChannels}, 3),
                                 random_tensor({kBatch, kTime, kChannels}, 4)};
  for (MixingKind kind : kMixings) {
    for (ops::Activation f : kActivations) {
      for (const torch::Tensor& mask : masks) {
        const auto call = [&](const std::vector<torch::Tensor>& inputs) {
          return MixingCall{.kind = kind,
                            .activation = f,
                            .x = inputs[0],
                            .v = inputs[1],
                            .mask = mask.defined() ? mask.to(inputs[0].dtype()) : mask};
        };
        expect_same_graph(
            Twins(mixing_parameters(kind, kChannels)), {x, v},
            [&](const auto& inputs, const ParameterLookup& p) { return mixing(call(inputs), p); },
            [&](const auto& inputs, const ParameterLookup& p) {
              return plain_mixing(call(inputs), p);
            });
      }
    }
  }
}

TEST(Moe, TorchEqualsTorchFree) {
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    for (int64_t chosen : {1, 2, 5}) {
      const MoeConfig config = {.kind = kind,
                                .channels = kChannels,
                                .hidden = 7,
                                .experts = 5,
                                .chosen = chosen,
                                .renormalise = chosen == 2};
      const Twins twins(moe_parameters(config));
      const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
      const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
      const torch::Tensor expected =
          moe({.config = config, .x = x, .h = h, .mask = {}}, twins.lookup()).y;
      const Moe free(twins.weights, config);
      Workspace workspace(free.workspace_bytes(kBatch * kTime));
      const torch::Tensor got = x.clone();
      free.apply(rows_of(got), rows_of(h), workspace);
      expect_close("x", expected, got, 7 * chosen);
    }
  }
}

TEST(Moe, BalanceIsItsWeightWhereExpertsAreAlike) {
  const MoeConfig config = {.channels = 3, .hidden = 2, .experts = 4, .chosen = 1, .balance = 0.5};
  const Twins twins(moe_parameters(config));
  const auto balance = [&](const torch::Tensor& h) {
    const torch::Tensor x = torch::zeros_like(h);
    return moe({.config = config, .x = x, .h = h, .mask = {}}, twins.lookup())
        .balance.item<double>();
  };
  // A zero input makes all probabilities alike, so that choices do not matter.
  EXPECT_NEAR(balance(torch::zeros({1, 6, 3})), 0.5, 1e-6);
  EXPECT_GT(balance(50 * torch::ones({1, 6, 3})), 1.0);
}

TEST(Mlp, TorchEqualsTorchFree) {
  constexpr int64_t kHidden = 11;
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    const MlpConfig config = {.kind = kind, .channels = kChannels, .hidden = kHidden};
    const Twins twins(mlp_parameters(config));
    const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
    const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
    const torch::Tensor expected = mlp({.kind = kind, .x = x, .h = h, .mask = {}}, twins.lookup());
    const Mlp free(twins.weights, config);
    Workspace workspace(free.workspace_bytes(kBatch * kTime));
    const torch::Tensor got = x.clone();
    free.apply(rows_of(got), rows_of(h), workspace);
    expect_close("x", expected, got, kHidden);
  }
}

TEST(Mlp, GraphEqualsPlainTorch) {
  constexpr int64_t kHidden = 11;
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor h = random_tensor({kBatch, kTime, kChannels}, 2);
  const torch::Tensor mask = random_tensor({kBatch, 1, kChannels}, 3);
  for (MlpKind kind : {MlpKind::kGelu, MlpKind::kSwiglu}) {
    expect_same_graph(
        Twins(mlp_parameters({.kind = kind, .channels = kChannels, .hidden = kHidden})), {x, h},
        [&](const auto& inputs, const ParameterLookup& p) {
          return mlp(
              {.kind = kind, .x = inputs[0], .h = inputs[1], .mask = mask.to(inputs[0].dtype())},
              p);
        },
        [&](const auto& inputs, const ParameterLookup& p) {
          const torch::Tensor up = torch::linear(inputs[1], p("up.weight"), p("up.bias"));
          torch::Tensor inner = torch::gelu(up, "tanh");
          if (kind == MlpKind::kSwiglu) {
            inner = up.slice(2, 0, kHidden) * torch::silu(up.slice(2, kHidden));
          }
          const torch::Tensor down = torch::linear(inner, p("down.weight"), p("down.bias"));
          return inputs[0] + mask.to(inputs[0].dtype()) * down;
        });
  }
}

TEST(Dropout, KeepsTheMeanAndTheRate) {
  constexpr int64_t kCount = 100003;
  for (double rate : {0.1, 0.5, 0.9}) {
    const torch::Tensor mask = dropout_mask({.rate = rate, .seed = dropout_seed(5), .stream = 6},
                                            {kCount}, torch::ones({1}));
    const double dropped = (mask == 0).sum().item<double>() / kCount;
    // Five deviations of a binomial share.
    EXPECT_NEAR(dropped, rate, 5 * std::sqrt(rate * (1 - rate) / kCount));
    EXPECT_NEAR(mask.max().item<double>(), 1 / (1 - rate), 1e-6 / (1 - rate));
  }
}

TEST(Dropout, DiffersBetweenSeedsAndPlaces) {
  const torch::Tensor like = torch::ones({1});
  const auto mask = [&](uint64_t seed, uint64_t stream) {
    return dropout_mask({.rate = 0.5, .seed = dropout_seed(seed), .stream = stream}, {64}, like);
  };
  EXPECT_TRUE(torch::equal(mask(1, 1), mask(1, 1)));
  EXPECT_FALSE(torch::equal(mask(1, 1), mask(2, 1)));
  EXPECT_FALSE(torch::equal(mask(1, 1), mask(1, 2)));
}

}  // namespace
}  // namespace longwave::nn
