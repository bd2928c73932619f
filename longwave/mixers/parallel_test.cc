// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/parallel.h"

#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/mixers/testing/mixer_case.h"

namespace longwave::mixers::testing {
namespace {

constexpr const char* kLayer = "mamba2+attention";
constexpr int64_t kChannels = 6;

Options options_of(const std::vector<std::string>& settings) {
  Schema schema;
  for (const std::string& name : families_of_layer(kLayer)) {
    const Schema section = in_section(name, family(name).schema());
    schema.insert(schema.end(), section.begin(), section.end());
  }
  Options options(schema);
  for (const char* one : {"mamba2.state=4", "attention.window=7", "attention.head_dim=2"}) {
    options.assign(one, "test");
  }
  for (const std::string& one : settings) options.assign(one, "test");
  return options;
}

/// What a layer answers to the same input and state row, and the state after it.
struct Answer {
  Numbers<3> y{{2, 9, kChannels}};
  Numbers<2> state;

  explicit Answer(const Mixer& mixer) : state({2, mixer.state_size()}) {
    Numbers<3> u(y.view.extents());
    u.randomise(5);
    state.fill(0);
    Workspace workspace(mixer.workspace_bytes(2, 9));
    mixer.prefill({.u = u.view, .state = state.view, .y = y.view}, workspace);
  }
};

TEST(Parallel, IsTheSumOfItsParts) {
  const Options options = options_of({});
  const Weights weights = initialise(layer_parameters(kLayer, options, kChannels), 3);
  const Answer both(*make_layer(kLayer, options, kChannels, weights, 1));
  const Answer first(*make_layer("mamba2", options, kChannels, weights.scope("mamba2"), 1));
  const Answer second(*make_layer("attention", options, kChannels, weights.scope("attention"), 1));
  for (size_t i = 0; i < both.y.values.size(); ++i) {
    EXPECT_EQ(both.y.values[i], first.y.values[i] + second.y.values[i]) << i;
  }
  const int64_t size = first.state.view.extent(1);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t i = 0; i < size; ++i) EXPECT_EQ(both.state.view(b, i), first.state.view(b, i));
    EXPECT_EQ(both.state.view(b, size), second.state.view(b, 0));
  }
}

TEST(Parallel, RefusesWhatIsNoListOfFamilies) {
  for (const char* layer : {"mamba2+", "+mamba2", "mamba2+mamba2", "mamba2 + s4d", "mamba2+s5d"}) {
    EXPECT_THROW(families_of_layer(layer), ConfigError) << layer;
  }
}

/// Rows of a matrix times a power of two: nothing is rounded.
void scale(Weights& weights, const std::string& name, int64_t first, int64_t count, float factor) {
  Tensor tensor = weights.all().at(name).clone();
  const int64_t columns = tensor.shape().back();
  const auto values = tensor.elements<float>();
  for (int64_t i = first * columns; i < (first + count) * columns; ++i) values[i] *= factor;
  weights.put(name, std::move(tensor));
}

TEST(Multipliers, AreThoseOfTheRowsOfProjections) {
  const Options plain = options_of({});
  const Options multiplied =
      options_of({"mamba2.in_multiplier=0.5", "mamba2.z_multiplier=4", "mamba2.x_multiplier=0.25",
                  "mamba2.B_multiplier=2", "mamba2.C_multiplier=-1", "mamba2.dt_multiplier=8",
                  "mamba2.out_multiplier=0.125", "attention.in_multiplier=2",
                  "attention.key_multiplier=0.5", "attention.out_multiplier=4"});
  const Weights weights = initialise(layer_parameters(kLayer, plain, kChannels), 3);
  Weights folded;
  for (const auto& [name, tensor] : weights.all()) folded.put(name, tensor.clone());
  const int64_t inner = 2 * kChannels, state = 4;
  const std::string in = "mamba2.in_proj.weight";
  scale(folded, in, 0, inner, 2);
  scale(folded, in, inner, inner, 0.125F);
  scale(folded, in, 2 * inner, state, 1);
  scale(folded, in, 2 * inner + state, state, -0.5F);
  scale(folded, in, 2 * inner + 2 * state, 1, 4);
  scale(folded, "mamba2.out_proj.weight", 0, kChannels, 0.125F);
  scale(folded, "attention.in_proj.weight", 0, kChannels, 2);
  scale(folded, "attention.in_proj.weight", 2 * kChannels, kChannels, 2);
  scale(folded, "attention.out_proj.weight", 0, kChannels, 4);
  const Answer inside(*make_layer(kLayer, multiplied, kChannels, weights, 1));
  const Answer outside(*make_layer(kLayer, plain, kChannels, folded, 1));
  EXPECT_EQ(inside.y.values, outside.y.values);
  EXPECT_EQ(inside.state.values, outside.state.values);
}

TEST(Multipliers, OfBiasesDoNotCountTheInput) {
  Options options = options_of({"attention.bias=true"});
  const Weights weights = initialise(layer_parameters(kLayer, options, kChannels), 3);
  Weights biased;
  for (const auto& [name, tensor] : weights.all()) biased.put(name, tensor.clone());
  for (const char* name : {"attention.in_proj.bias", "attention.out_proj.bias"}) {
    Tensor tensor = weights.all().at(name).clone();
    for (float& value : tensor.elements<float>()) value = 1;
    biased.put(name, std::move(tensor));
  }
  // Without an input, values are their biases, and so is every average of them.
  options.assign("attention.in_multiplier=0", "test");
  options.assign("attention.out_multiplier=0.5", "test");
  const auto layer = make_layer("attention", options, kChannels, biased.scope("attention"), 1);
  const Answer answer(*layer);
  const auto out = biased.get("attention.out_proj.weight", {kChannels, kChannels});
  for (int64_t i = 0; i < kChannels; ++i) {
    float sum = 1;
    for (int64_t j = 0; j < kChannels; ++j) sum += out[i * kChannels + j];
    EXPECT_NEAR(answer.y.view(1, 8, i), sum / 2, 1e-6 * kChannels);
  }
}

}  // namespace
}  // namespace longwave::mixers::testing
