// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/sequence_model.h"

namespace longwave::models::testing {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// One model that the laws are tried on.
struct ModelCase {
  std::string name;                   ///< of the test: letters and digits
  std::vector<std::string> settings;  ///< "model.norm=batch", ...
  Interface interface = {};

  Config config() const {
    std::string pattern = "s4d*2";
    for (const std::string& setting : settings) {
      if (setting.starts_with("model.pattern=")) pattern = setting.substr(14);
    }
    Options options(config_schema(pattern));
    options.set("model.d_model", int64_t{6}, "test");
    options.set("model.pattern", pattern, "test");
    // Small layers: what they do is the business of the mixers' own tests.
    for (const mixers::Family& family : mixers::families()) {
      const std::string state = std::string(family.name) + ".state";
      if (options.has(state)) options.set(state, int64_t{8}, "test");
      const std::string window = std::string(family.name) + ".window";
      if (options.has(window)) options.set(window, int64_t{8}, "test");
    }
    for (const std::string& setting : settings) options.assign(setting, "test");
    return {interface, options};
  }

  /// Random weights in which nothing keeps a special value: buffers and norms are moved, too.
  Weights weights(uint64_t seed) const {
    ParameterTable table = parameters(config());
    for (Parameter& parameter : table) {
      const bool positive = parameter.name.ends_with("scale") || parameter.name.ends_with("_var");
      if (positive) parameter.init = uniform_init(0.5, 2);
      if (parameter.name.ends_with("shift") || parameter.name.ends_with("_mean")) {
        parameter.init = uniform_init(-1, 1);
      }
      if (parameter.name.find("norm.") != std::string::npos && !positive) {
        parameter.init = uniform_init(0.5, 1.5);
      }
    }
    return initialise(table, seed);
  }
};

inline void PrintTo(const ModelCase& test_case, std::ostream* out) { *out << test_case.name; }

template <typename Info>
std::string case_name(const Info& info) {
  return info.param.name;
}

/// Every family in two layers, then every part of a block and every interface once.
inline std::vector<ModelCase> all_cases() {
  using Input = Interface::Input;
  using Output = Interface::Output;
  const Interface two_features = {Input::kReal, 2, Output::kSequence, 3};
  std::vector<ModelCase> cases;
  for (const mixers::Family& family : mixers::families()) {
    const std::string name(family.name);
    cases.push_back({name, {"model.pattern=" + name + "*2"}, two_features});
  }
  cases.push_back({"lookingAhead", {"s4d.bidirectional=true"}, two_features});
  cases.push_back({"steps", {}, {Input::kReal, 3, Output::kStep, 2}});
  cases.push_back({"tokens", {}, {Input::kTokens, 11, Output::kStep, 11}});
  cases.push_back({"tokensToOne", {"model.pool=last"}, {Input::kTokens, 5, Output::kSequence, 2}});
  cases.push_back({"last", {"model.pool=last"}, two_features});
  cases.push_back({"oneChannel", {"model.d_model=1"}, {}});
  cases.push_back({"rms", {"model.norm=rms"}, two_features});
  cases.push_back({"batchNorm", {"model.norm=batch"}, two_features});
  cases.push_back({"postnorm", {"model.prenorm=false"}, two_features});
  cases.push_back(
      {"postBatchMlp", {"model.prenorm=false", "model.norm=batch", "model.mlp=2"}, two_features});
  for (const char* mixing : {"half_glu1", "half_glu2", "linear", "none"}) {
    std::string name = mixing;
    std::erase(name, '_');
    cases.push_back({name, {std::string("model.mixing=") + mixing}, two_features});
  }
  cases.push_back({"silu", {"model.activation=silu"}, two_features});
  cases.push_back({"noActivation", {"model.activation=none"}, two_features});
  cases.push_back({"mlp", {"model.mlp=2"}, two_features});
  cases.push_back(
      {"hybrid", {"model.pattern=(lru s4d)*2 s5 | mlp every 2", "model.mlp=2"}, two_features});
  cases.push_back({"tied",
                   {"model.tie=true", "model.pattern=mamba*2", "model.mixing=none",
                    "model.activation=none", "model.norm=rms", "model.scale_branches=true"},
                   {Input::kTokens, 11, Output::kStep, 11}});
  cases.push_back({"noHeadBias", {"model.head_bias=false"}, two_features});
  cases.push_back(
      {"baselines", {"model.pattern=lstm gru cnn"}, {Input::kReal, 2, Output::kStep, 1}});
  cases.push_back(
      {"swiglu", {"model.mlp=3", "model.mlp_kind=swiglu", "model.norm=rms"}, two_features});
  return cases;
}

/// Those, and what published models have that is not trained.
inline std::vector<ModelCase> running_cases() {
  const Interface tokens = {Interface::Input::kTokens, 7, Interface::Output::kStep, 7};
  std::vector<ModelCase> cases = all_cases();
  cases.push_back({"multipliers",
                   {"model.mlp=2", "model.embedding_multiplier=3", "model.residual_multiplier=0.3",
                    "model.logits_multiplier=0.2", "model.norm=rms", "model.norm_epsilon=1e-3"},
                   tokens});
  cases.push_back({"mlpWithoutBias", {"model.mlp=2", "model.mlp_bias=false"}, tokens});
  cases.push_back({"parallel", {"model.pattern=mamba2+attention s4d+lstm"}, tokens});
  cases.push_back({"shared",
                   {"model.pattern=(shared>mamba2 mamba2)*2 shared>s4d | none", "model.hidden=5",
                    "model.mlp_kind=geglu", "shared.blocks=2", "shared.adapter_rank=2",
                    "shared.adapt_attention=true"},
                   tokens});
  cases.push_back({"mlpMultipliers",
                   {"model.mlp=1", "model.mlp_kind=swiglu", "model.gate_multiplier=0.7",
                    "model.down_multiplier=1.7"},
                   tokens});
  cases.push_back(
      {"withoutMixer",
       {"model.pattern=mlp mamba2 moe*2 attention mlp", "model.hidden=5", "model.mlp_kind=relu2",
        "model.norm=rms", "model.mixing=none", "model.activation=none", "moe.experts=5",
        "moe.hidden=3", "moe.shared=4", "moe.router=sigmoid", "moe.scale=1.7"},
       tokens});
  cases.push_back({"sharedExpert",
                   {"model.pattern=s4d*2 | moe", "model.mlp=1", "model.mlp_kind=swiglu",
                    "model.residual_multiplier=0.5", "moe.experts=3", "moe.shared=5"},
                   tokens});
  return cases;
}

/// Those of the cases whose models stream.
inline std::vector<ModelCase> causal_cases() {
  std::vector<ModelCase> cases = running_cases();
  std::erase_if(cases, [](const ModelCase& one) {
    return !SequenceModel(one.config(), one.weights(1)).causal();
  });
  return cases;
}

inline double largest(const std::vector<float>& values) {
  double most = 0;
  for (float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// What two exact orders of the same arithmetic may differ by. A layer's sums run over channels,
/// states and time; a norm or a gate magnifies what came before it a few times.
inline Tolerance rounding(const SequenceModel& model, int64_t time,
                          const std::vector<float>& expected) {
  constexpr double kMagnification = 8;
  const int64_t channels = model.config().options.integer("model.d_model");
  const int64_t terms = (time + 1) * (model.state_size() + channels);
  return Tolerance::sum<float>(terms, kMagnification * (largest(expected) + 1));
}

inline ::testing::AssertionResult close(const char* what, const SequenceModel& model, int64_t time,
                                        const std::vector<float>& expected,
                                        const std::vector<float>& got) {
  if (expected.size() != got.size()) return ::testing::AssertionFailure() << what << ": sizes";
  if (expected.empty()) return ::testing::AssertionSuccess();
  Worst worst(what);
  const Tolerance tolerance = rounding(model, time, expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], tolerance);
  }
  return worst.ok();
}

/// A model with input, state and output; outputs are poisoned.
struct Trial {
  const SequenceModel& model;
  int64_t batch, time;
  std::vector<float> input, state, output;
  std::vector<int64_t> tokens;

  Trial(const SequenceModel& m, int64_t b, int64_t t, uint64_t seed) : model(m), batch(b), time(t) {
    const Interface& io = model.config().interface;
    Random random(seed, stream_id("trial"));
    if (io.input == Interface::Input::kTokens) {
      tokens.resize(batch * time);
      for (int64_t& token : tokens) token = random.integer(io.input_size);
    } else {
      input.resize(batch * time * io.input_size);
      for (float& x : input) x = static_cast<float>(random.normal());
    }
    state.resize(batch * model.state_size());
    for (float& x : state) x = static_cast<float>(random.uniform(-1, 1));
    // Sums of the pooling are those of some steps before.
    if (io.output == Interface::Output::kSequence &&
        model.config().options.text("model.pool") == "mean") {
      const int64_t channels = model.config().options.integer("model.d_model");
      for (int64_t i = 0; i < batch; ++i) {
        float* end = state.data() + (i + 1) * model.state_size();
        std::fill(end - (channels + 1), end, 0.0f);
        *(end - (channels + 2)) = 5;
      }
    }
    const int64_t answers = io.output == Interface::Output::kStep ? time : 1;
    output.assign(batch * answers * io.output_size, std::numeric_limits<float>::quiet_NaN());
  }

  bool per_step() const { return model.config().interface.output == Interface::Output::kStep; }

  SequenceModel::Prefill args(int64_t begin, int64_t count) {
    const Interface& io = model.config().interface;
    SequenceModel::Prefill args;
    if (io.input == Interface::Input::kTokens) {
      args.tokens = View<const int64_t, 2>(tokens.data(), {batch, time}).slice(1, begin, count);
    } else {
      args.input =
          View<const float, 3>(input.data(), {batch, time, io.input_size}).slice(1, begin, count);
    }
    args.state = {state.data(), {batch, model.state_size()}};
    args.output = {output.data(), {batch, per_step() ? time : 1, io.output_size}};
    if (per_step()) args.output = args.output.slice(1, begin, count);
    return args;
  }

  void prefill(int64_t begin, int64_t count) {
    Workspace workspace(model.workspace_bytes(batch, count));
    model.prefill(args(begin, count), workspace);
  }
  void prefill() { prefill(0, time); }

  SequenceModel::Step step_args(int64_t t) {
    SequenceModel::Prefill one = args(t, 1);
    SequenceModel::Step step;
    step.state = one.state;
    if (!tokens.empty()) {
      step.tokens = {one.tokens.data(), {batch}, {one.tokens.stride(0)}};
    } else {
      step.input = {one.input.data(),
                    {batch, one.input.extent(2)},
                    {one.input.stride(0), one.input.stride(2)}};
    }
    step.output = {one.output.data(),
                   {batch, one.output.extent(2)},
                   {one.output.stride(0), one.output.stride(2)}};
    return step;
  }
  void steps() {
    Workspace workspace(model.workspace_bytes(batch, 1));
    for (int64_t t = 0; t < time; ++t) model.step(step_args(t), workspace);
  }
};

}  // namespace longwave::models::testing
