// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/published_folder.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using models::PublishedFormat;
using testing::config_text;
using testing::expect_refused;
using testing::kFixtures;

const char* const kNames[] = {"mamba",
                              "mamba2",
                              "mamba2_one_group",
                              "mamba_state_spaces",
                              "mamba2_one_group_state_spaces",
                              "mamba_sharded",
                              "bamba",
                              "bamba_tied",
                              "granitemoehybrid",
                              "granitemoehybrid_dense",
                              "falcon_h1",
                              "falcon_h1_tied",
                              "falcon_mamba",
                              "falcon_mamba_untied",
                              "jamba",
                              "jamba_dense",
                              "zamba2",
                              "zamba2_one_block",
                              "nemotron_h",
                              "nemotron_h_experts"};

/// Share of the largest logit that float32 in another order may change, with wide margins: both
/// sides sum some hundred terms a number, and models are a few layers deep.
constexpr double kPublishedError = 2e-5;

/// What transformers answers, see tests/fixtures/make_published.py.
struct Expected {
  Weights tensors;
  explicit Expected(const std::string& name)
      : tensors(io::load_safetensors(kFixtures / name / "expected.safetensors").weights) {}

  std::span<const int64_t> integers(const char* name) const {
    return tensors.all().at(name).elements<int64_t>();
  }
  std::span<const int64_t> prompt() const {
    return integers("ids").first(static_cast<size_t>(tensors.all().at("ids").shape()[1]));
  }
};

class Published : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, Published, ::testing::ValuesIn(kNames), [](const auto& info) {
  std::string name = info.param;
  std::erase(name, '_');
  return name;
});

TEST_P(Published, LogitsAreThoseOfTransformers) {
  const Expected expected(GetParam());
  const ModelFolder folder = load_model_folder(kFixtures / GetParam());
  const models::SequenceModel model(folder.config, folder.weights);
  const auto ids = expected.integers("ids");
  const Shape& shape = expected.tensors.all().at("logits").shape();
  const int64_t batch = shape[0], time = shape[1], size = shape[2];
  ASSERT_EQ(size, folder.config.interface.output_size);
  models::testing::Trial trial(model, batch, time, 1);
  std::ranges::copy(ids, trial.tokens.begin());
  std::ranges::fill(trial.state, 0.0F);
  trial.prefill();
  const auto logits = expected.tensors.get("logits", shape);
  double scale = 0, error = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    scale = std::max(scale, std::abs(static_cast<double>(logits[i])));
    const double difference = std::abs(static_cast<double>(logits[i]) - trial.output[i]);
    error = std::isnan(difference) ? difference : std::max(error, difference);
  }
  EXPECT_LE(error, kPublishedError * scale);
}

TEST_P(Published, GreedyContinuationIsThatOfTransformers) {
  const Expected expected(GetParam());
  const auto greedy = expected.integers("greedy");
  Session session(Model::load(kFixtures / GetParam()));
  const Generation generation =
      generate(session, nullptr, expected.prompt(),
               {.sampler = {.temperature = 0}, .max_tokens = static_cast<int64_t>(greedy.size())},
               [](int64_t, std::string_view) { return true; });
  EXPECT_TRUE(std::ranges::equal(generation.ids, greedy));
}

std::vector<float> copied(std::span<const float> values) { return {values.begin(), values.end()}; }

TEST_P(Published, PiecesOfAPromptEqualTheWhole) {
  const Expected expected(GetParam());
  const auto model = Model::load(kFixtures / GetParam());
  const auto prompt = expected.prompt();
  Session whole(model);
  const std::vector<float> all = copied(whole.prefill(prompt));
  const auto close = [&](const std::vector<float>& got) {
    return models::testing::close("logits", model->network(), 1, all, got);
  };
  for (const size_t size : {size_t{1}, size_t{2}, size_t{5}, prompt.size() - 1}) {
    Session pieces(model);
    std::vector<float> got;
    for (size_t begin = 0; begin < prompt.size(); begin += size) {
      const auto piece = prompt.subspan(begin, std::min(size, prompt.size() - begin));
      const auto logits = piece.size() == 1 ? pieces.step(piece[0]) : pieces.prefill(piece);
      got.insert(got.end(), logits.begin(), logits.end());
    }
    EXPECT_TRUE(close(got)) << "pieces of " << size;
  }
}

TEST_P(Published, RewoundAndForkedSequencesAreTheSameBits) {
  const Expected expected(GetParam());
  const auto model = Model::load(kFixtures / GetParam());
  const auto prompt = expected.prompt(), rest = expected.integers("greedy");
  Session session(model), fork(model);
  session.prefill(prompt);
  const State state = session.state();
  std::vector<std::vector<float>> first;
  for (const int64_t token : rest) first.push_back(copied(session.step(token)));
  session.restore(state);
  fork.restore(state);
  for (size_t i = 0; i < rest.size(); ++i) {
    EXPECT_EQ(copied(session.step(rest[i])), first[i]);
    EXPECT_EQ(copied(fork.step(rest[i])), first[i]);
  }
}

/// Each tensor of the file, taken out, renamed or misshapen, is refused by its name.
TEST_P(Published, EveryTensorIsMissed) {
  const auto description = parse_published_config(
      io::read_text(kFixtures / GetParam() / "config.json", 1 << 20), "config.json");
  ASSERT_TRUE(description.has_value());
  Weights file;
  for (const fs::directory_entry& entry : fs::directory_iterator(kFixtures / GetParam())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("model") || !name.ends_with(".safetensors")) continue;
    const Weights part = io::load_safetensors(entry.path()).weights;
    for (const auto& [tensor_name, tensor] : part.all()) file.put(tensor_name, tensor.clone());
  }
  const bool tied = description->config.options.flag("model.tie");
  const auto refused = [&](const Weights& tensors) {
    return message_of<DataError>(
        [&] { models::from_published(description->format, description->config, tensors, "test"); });
  };
  for (const auto& [name, tensor] : file.all()) {
    Weights fewer, misshapen;
    for (const auto& [other, kept] : file.all()) {
      if (other != name) fewer.put(other, kept.clone());
      misshapen.put(other, other == name ? Tensor(DType::kFloat32, {3, 1, 1}) : kept.clone());
    }
    EXPECT_NE(refused(misshapen).find(name), std::string::npos) << name;
    if (tied && name == "lm_head.weight") continue;
    EXPECT_NE(refused(fewer).find(name), std::string::npos) << name;
    fewer.put(name + "_", tensor.clone());
    EXPECT_NE(refused(fewer).find(name), std::string::npos) << name;
  }
}

/// Newer files of Jamba have the experts of a layer in two tensors.
TEST(PublishedJamba, ExpertsInOneTensorAreTheSame) {
  const fs::path folder = kFixtures / "jamba";
  const auto description =
      parse_published_config(io::read_text(folder / "config.json", 1 << 20), "config.json");
  ASSERT_TRUE(description.has_value());
  const Weights apart = io::load_safetensors(folder / "model.safetensors").weights;
  constexpr int64_t kExperts = 5, kHidden = 7, kChannels = 12;
  Weights together;
  for (const auto& [name, tensor] : apart.all()) {
    if (name.find(".experts.") == std::string::npos) together.put(name, tensor.clone());
  }
  for (const std::string layer : {"1", "3"}) {
    const std::string experts = "model.layers." + layer + ".feed_forward.experts.";
    Tensor both(DType::kFloat32, {kExperts, 2 * kHidden, kChannels});
    Tensor down(DType::kFloat32, {kExperts, kChannels, kHidden});
    float* into = both.elements<float>().data();
    float* into_down = down.elements<float>().data();
    for (int64_t e = 0; e < kExperts; ++e) {
      for (const char* part : {".gate_proj.weight", ".up_proj.weight"}) {
        into = std::ranges::copy(
                   apart.get(experts + std::to_string(e) + part, {kHidden, kChannels}), into)
                   .out;
      }
      into_down = std::ranges::copy(apart.get(experts + std::to_string(e) + ".down_proj.weight",
                                              {kChannels, kHidden}),
                                    into_down)
                      .out;
    }
    together.put(experts + "gate_up_proj", std::move(both));
    together.put(experts + "down_proj", std::move(down));
  }
  const auto read = [&](const Weights& file) {
    return models::from_published(description->format, description->config, file, "test");
  };
  const Weights one = read(apart), other = read(together);
  for (const Parameter& parameter : models::parameters(description->config)) {
    EXPECT_TRUE(std::ranges::equal(one.get(parameter.name, parameter.shape),
                                   other.get(parameter.name, parameter.shape)))
        << parameter.name;
  }
}

TEST(PublishedHybrids, WhatLongwaveDoesNotComputeIsRefusedByName) {
  expect_refused("jamba", "\"silu\"", "\"gelu\"", "hidden_act");
  expect_refused("jamba", "\"attn_layer_offset\": 1", "\"attn_layer_offset\": 3",
                 "attn_layer_period");
  expect_refused("jamba", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "kv_heads");
  expect_refused("jamba", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 6", "moe");
  expect_refused("nemotron_h", "\"relu2\"", "\"silu\"", "mlp_hidden_act");
  expect_refused("nemotron_h", "\"sliding_window\": null", "\"sliding_window\": 64",
                 "sliding_window");
  expect_refused("nemotron_h", "\"linear_attention\"", "\"convolution\"", "layers_block_type.0");
  expect_refused("nemotron_h", "\"mamba_num_heads\": 4", "\"mamba_num_heads\": 0",
                 "mamba_num_heads");
  expect_refused("nemotron_h_experts", "\"n_group\": 1", "\"n_group\": 2", "n_group");
  expect_refused("nemotron_h_experts", "\"moe_latent_size\": null", "\"moe_latent_size\": 8",
                 "moe_latent_size");
}

TEST(PublishedHybrids, OlderConfigurationsSpellLayersAsLetters) {
  std::string text = config_text("nemotron_h");
  const size_t begin = text.find("\"layers_block_type\""), end = text.find(']', begin);
  ASSERT_NE(end, std::string::npos);
  text.replace(begin, end + 1 - begin, "\"hybrid_override_pattern\": \"M-M*--\"");
  const auto read = parse_published_config(text, "config.json");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->config.options.text("model.pattern"), "mamba2 mlp mamba2 attention mlp*2 | none");
}

TEST(PublishedContext, ASequenceBeyondItIsRefusedAndTheStateUntouched) {
  const fs::path folder = kFixtures / "jamba_dense";
  const Expected expected("jamba_dense");
  Session session(Model::load(folder, 1, 10)), usual(Model::load(folder));
  EXPECT_LT(session.state().values.size(), usual.state().values.size());
  const State before = session.state();
  const auto prompt = expected.prompt();
  const std::string said = message_of<InvalidArgument>([&] { session.prefill(prompt); });
  EXPECT_NE(said.find("context"), std::string::npos) << said;
  EXPECT_EQ(session.state().values, before.values);
  session.prefill(prompt.first(9));
  const std::vector<float> last = copied(session.step(prompt[9]));
  EXPECT_THROW(session.step(prompt[10]), InvalidArgument);
  usual.prefill(prompt.first(9));
  EXPECT_EQ(last, copied(usual.step(prompt[9])));
  EXPECT_THROW(Model::load(folder, 1, 61), ConfigError);
  EXPECT_NO_THROW(Model::load(folder, 1, 60));
  EXPECT_NO_THROW(Model::load(kFixtures / "mamba", 1, 1 << 20));
}

/// Whether state-spaces can say it, too.
bool has_two_forms(const models::Config& config) {
  const std::string& family = config.options.text("model.family");
  return family.empty() || family == "mamba" || family == "mamba2";
}

/// Each form gives the model back bit by bit.
TEST_P(Published, ExportThenImportIsTheIdentity) {
  const TemporaryFolder scratch;
  const ModelFolder folder = load_model_folder(kFixtures / GetParam());
  for (const PublishedFormat format :
       {PublishedFormat::kStateSpaces, PublishedFormat::kHuggingFace}) {
    if (format == PublishedFormat::kStateSpaces && !has_two_forms(folder.config)) continue;
    save_published_folder(scratch / "model", format, folder);
    const ModelFolder back = load_model_folder(scratch / "model");
    const models::SequenceModel once(folder.config, folder.weights);
    EXPECT_EQ(once.state_size(), models::SequenceModel(back.config, back.weights).state_size());
    ASSERT_EQ(back.weights.all().size(), folder.weights.all().size());
    for (const Parameter& parameter : models::parameters(folder.config)) {
      const StoredTensor one = stored(folder.weights.of(parameter));
      const StoredTensor other = stored(back.weights.of(parameter));
      EXPECT_EQ(one.dtype, other.dtype) << parameter.name;
      EXPECT_TRUE(std::ranges::equal(one.bytes, other.bytes)) << parameter.name;
    }
    save_published_folder(scratch / "again", format, back);
    for (const char* file : {"config.json", "model.safetensors"}) {
      EXPECT_TRUE(std::ranges::equal(io::read_file(scratch / "model" / file, 1 << 24),
                                     io::read_file(scratch / "again" / file, 1 << 24)))
          << file;
    }
  }
}

}  // namespace
}  // namespace longwave::runtime
