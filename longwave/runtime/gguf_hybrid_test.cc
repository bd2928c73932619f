// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/io/gguf.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/published.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/published_folder.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using models::PublishedFormat;
using testing::kFixtures;

/// A hybrid that llama.cpp's form can express: a published configuration, changed where it cannot.
struct Hybrid {
  const char* name;
  const char* fixture;
  std::vector<std::string> settings;
  const char* architecture;

  /// With random numbers in every tensor: none can be left out unseen.
  ModelFolder model() const {
    models::Config config = load_model_folder(kFixtures / fixture).config;
    for (const std::string& setting : settings) config.options.assign(setting, "test");
    Weights weights;
    Random random(7);
    for (const Parameter& parameter : models::parameters(config)) {
      Tensor tensor(DType::kFloat32, parameter.shape);
      for (float& x : tensor.elements<float>()) {
        x = static_cast<float>(random.normal() * 0.5 + (parameter.shape.size() == 1 ? 1 : 0));
        if (parameter.name == "decoder.scale") x = 1;
        if (parameter.name == "decoder.shift") x = 0;
      }
      weights.put(parameter.name, std::move(tensor));
    }
    return {config, std::move(weights)};
  }
};

void PrintTo(const Hybrid& hybrid, std::ostream* out) { *out << hybrid.name; }

const Hybrid kHybrids[] = {
    {"FalconH1",
     "falcon_h1",
     {"attention.bias=false", "mamba2.bias=false", "model.mlp_bias=false"},
     "falcon-h1"},
    {"FalconH1WithoutNorm",
     "falcon_h1_tied",
     {"model.tie=false", "mamba2.expand=3", "attention.out_multiplier=0.123456789"},
     "falcon-h1"},
    {"FalconH1Tied", "falcon_h1_tied", {"model.logits_multiplier=0.8"}, "falcon-h1"},
    {"Granite", "granitemoehybrid", {"attention.bias=false", "mamba2.bias=false"}, "granitehybrid"},
    {"GraniteWithoutExperts",
     "granitemoehybrid_dense",
     {"attention.scale=0.088388347648318447"},
     "granitehybrid"},
    {"Bamba",
     "bamba",
     {"attention.bias=false", "mamba2.bias=false", "model.mlp_bias=false", "mamba2.dt_least=0",
      "mamba2.dt_most=1e9"},
     "granitehybrid"},
    {"NemotronH",
     "nemotron_h",
     {"mamba2.bias=false", "mamba2.conv_bias=true", "model.mlp_bias=false"},
     "nemotron_h"},
    {"NemotronHWithExperts",
     "nemotron_h_experts",
     {"model.pattern=mamba2 moe attention moe | none"},
     "nemotron_h_moe"}};

class GgufHybrid : public ::testing::TestWithParam<Hybrid> {};
INSTANTIATE_TEST_SUITE_P(Families, GgufHybrid, ::testing::ValuesIn(kHybrids),
                         models::testing::case_name<::testing::TestParamInfo<Hybrid>>);

void expect_same(const ModelFolder& expected, const ModelFolder& got) {
  EXPECT_EQ(models::to_published(PublishedFormat::kHuggingFace, expected.config),
            models::to_published(PublishedFormat::kHuggingFace, got.config));
  for (const Parameter& parameter : models::parameters(expected.config)) {
    EXPECT_TRUE(std::ranges::equal(expected.weights.get(parameter.name, parameter.shape),
                                   got.weights.get(parameter.name, parameter.shape)))
        << parameter.name;
  }
}

TEST_P(GgufHybrid, HuggingFaceToOursToGgufAndBackIsTheSameModel) {
  const TemporaryFolder scratch;
  save_published_folder(scratch / "hf", PublishedFormat::kHuggingFace, GetParam().model());
  const ModelFolder published = load_model_folder(scratch / "hf");
  save_gguf_model(scratch / "a.gguf", published);
  const ModelFolder read = load_model_folder(scratch / "a.gguf");
  expect_same(published, read);
  save_published_folder(scratch / "again", PublishedFormat::kHuggingFace, read);
  const ModelFolder back = load_model_folder(scratch / "again");
  expect_same(published, back);
  save_gguf_model(scratch / "b.gguf", back);
  const io::Gguf file(scratch / "a.gguf");
  EXPECT_EQ(file.metadata(), io::Gguf(scratch / "b.gguf").metadata());
  EXPECT_EQ(*io::gguf_text(file.metadata(), "general.architecture"), GetParam().architecture);
}

/// A copy of a GGUF file with other metadata.
void rewrite(const fs::path& from, const fs::path& to,
             const std::function<void(io::GgufMetadata&)>& change) {
  const io::Gguf file(from);
  io::GgufMetadata metadata = file.metadata();
  change(metadata);
  std::vector<io::GgufTensor> tensors;
  for (const io::GgufEntry& entry : file.entries()) {
    tensors.push_back({entry.name, entry.type, entry.shape, file.data(entry)});
  }
  io::save_gguf(to, metadata, tensors);
}

std::vector<float> answers(const fs::path& path) {
  Session session(Model::load(path));
  const auto logits = session.prefill(std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  return {logits.begin(), logits.end()};
}

TEST_P(GgufHybrid, WithoutOurKeysItAnswersTheSame) {
  const TemporaryFolder scratch;
  const ModelFolder model = GetParam().model();
  save_gguf_model(scratch / "a.gguf", model);
  rewrite(scratch / "a.gguf", scratch / "b.gguf", [](io::GgufMetadata& metadata) {
    std::erase_if(metadata, [](const auto& entry) {
      // What limits steps is no key of llama.cpp and changes the answers.
      return entry.first.starts_with("longwave.") && entry.first != "longwave.time_step_min";
    });
  });
  const models::SequenceModel network(model.config, model.weights);
  EXPECT_TRUE(models::testing::close("logits", network, 1, answers(scratch / "a.gguf"),
                                     answers(scratch / "b.gguf")));
}

TEST_P(GgufHybrid, MatricesInFewerBitsKeepNoMultipliersBesides) {
  const TemporaryFolder scratch;
  save_gguf_model(scratch / "a.gguf", GetParam().model(), {}, DType::kFloat16);
  const io::Gguf file(scratch / "a.gguf");
  for (const auto& [key, value] : file.metadata()) {
    EXPECT_FALSE(key.starts_with("longwave.multiplier.")) << key;
    EXPECT_FALSE(key.starts_with("longwave.steps.")) << key;
  }
  const std::vector<float> exact = [&] {
    save_gguf_model(scratch / "b.gguf", GetParam().model());
    return answers(scratch / "b.gguf");
  }();
  const std::vector<float> rounded = answers(scratch / "a.gguf");
  double scale = 0, error = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    scale = std::max(scale, std::abs(static_cast<double>(exact[i])));
    error = std::max(error, std::abs(static_cast<double>(exact[i]) - rounded[i]));
  }
  // float16 keeps 11 bits; what is summed is a few dozen such numbers, some layers deep.
  EXPECT_LE(error, 0.05 * scale);
}

TEST(GgufHybridFile, StepsThatDoNotBelongToATensorArePassedOver) {
  const TemporaryFolder scratch;
  const ModelFolder model = kHybrids[0].model();
  save_gguf_model(scratch / "a.gguf", model);
  const std::string key = "longwave.steps.layers.0.mixer.mamba2.out_proj.weight";
  ASSERT_NE(io::gguf_text(io::Gguf(scratch / "a.gguf").metadata(), key), nullptr);
  const Shape shape = {12, 30};
  const auto exact = model.weights.get("layers.0.mixer.mamba2.out_proj.weight", shape);
  for (const std::string& text : {std::string(), std::string("1"), std::string(120, '\x7f'),
                                  std::string(120, '\x80'), std::string(1 << 16, 'z')}) {
    rewrite(scratch / "a.gguf", scratch / "b.gguf", [&](io::GgufMetadata& metadata) {
      metadata[key] = io::GgufValue::text(text);
      metadata["longwave.steps.nothing"] = io::GgufValue::text("0");
      metadata["longwave.steps.norm.weight"] = io::GgufValue::uint32(3);
    });
    const ModelFolder read = load_model_folder(scratch / "b.gguf");
    const auto got = read.weights.get("layers.0.mixer.mamba2.out_proj.weight", shape);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], exact[i], 1e-6) << i;
  }
}

std::string why_not(const char* fixture, const std::vector<std::string>& settings) {
  const TemporaryFolder scratch;
  return message_of<ConfigError>([&] {
    save_gguf_model(scratch / "a.gguf", Hybrid{fixture, fixture, settings, ""}.model());
  });
}

TEST(GgufHybridFile, WhatLlamaCppCannotComputeIsRefused) {
  const std::pair<std::string, std::string> refusals[] = {
      {why_not("falcon_h1_tied", {}), "model.tie"},
      {why_not("falcon_h1", {}), "bias"},
      {why_not("bamba", {"mamba2.bias=false", "attention.bias=false", "model.mlp_bias=false"}),
       "dt_"},
      {why_not("granitemoehybrid_dense", {"mamba2.expand=4"}), "ssm.inner_size"},
      {why_not("nemotron_h_experts", {}), "experts in all layers without a mixer"},
      {why_not("zamba2", {}), "llama.cpp has no architecture"}};
  for (const auto& [message, part] : refusals) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  const std::string known = why_not("zamba2", {});
  EXPECT_EQ(known.find("mamba,"), known.rfind("mamba,")) << known;
}

TEST(GgufHybridFile, KeysThatContradictEachOtherAreRefusedByName) {
  const TemporaryFolder scratch;
  const auto refused = [&](const Hybrid& hybrid, const std::string& key, io::GgufValue value,
                           const std::string& part = "") {
    save_gguf_model(scratch / "a.gguf", hybrid.model());
    rewrite(scratch / "a.gguf", scratch / "b.gguf", [&](io::GgufMetadata& metadata) {
      metadata[hybrid.architecture + ("." + key)] = std::move(value);
    });
    try {
      load_model_folder(scratch / "b.gguf");
      ADD_FAILURE() << hybrid.name << " " << key << " was not refused";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part.empty() ? key : part), std::string::npos)
          << error.what();
    }
  };
  const Hybrid &falcon = kHybrids[0], &granite = kHybrids[3], &nemotron = kHybrids[6];
  refused(falcon, "attention.head_count", io::GgufValue::uint32(0));
  refused(falcon, "attention.key_length", io::GgufValue::uint32(4000000000),
          "attention.value_length");
  refused(falcon, "attention.value_length", io::GgufValue::uint32(1));
  refused(falcon, "ssm.time_step_rank", io::GgufValue::uint32(7));
  refused(falcon, "ssm.inner_size", io::GgufValue::uint32(4000000000), "inner");
  refused(granite, "attention.head_count_kv", io::GgufValue::int32s({0, -1, 0}));
  refused(granite, "attention.head_count_kv", io::GgufValue::int32s({1, 2, 0}));
  refused(granite, "attention.head_count_kv", io::GgufValue::uint32(1), "no layer is Mamba-2");
  refused(granite, "rope.dimension_count", io::GgufValue::uint32(5));
  constexpr uint64_t kHuge = std::numeric_limits<int64_t>::max();
  refused(granite, "rope.dimension_count", {io::GgufKind::kUint64, kHuge});
  refused(granite, "expert_count", io::GgufValue::uint32(4000000000), "moe.experts");
  refused(nemotron, "feed_forward_length", io::GgufValue::uint32(10));
  refused(nemotron, "feed_forward_length", io::GgufValue::int32s({0, 10, 0, 0, 11, 10}));
  refused(nemotron, "moe_latent_size", io::GgufValue::uint32(4));
}

}  // namespace
}  // namespace longwave::runtime
