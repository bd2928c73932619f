// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/published_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/testing/fuzz_targets.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using testing::config_text;
using testing::expect_refused;
using testing::kFixtures;

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(PublishedConfig, ThePaddedVocabularyIsThatOfTheEmbedding) {
  const auto read = parse_published_config(config_text("mamba_state_spaces"), "config.json");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->config.interface.input_size, 24);
}

/// Configurations as they stand in well-known repositories.
TEST(PublishedConfig, WellKnownOnesAreRead) {
  const auto read = [](const char* text) {
    const auto found = parse_published_config(text, "config.json");
    return found ? found->config : models::Config{};
  };
  const models::Config early = read(
      R"({"architectures": ["MambaForCausalLM"], "bos_token_id": 0, "conv_kernel": 4,
 "d_inner": 1536, "d_model": 768, "eos_token_id": 0, "expand": 2, "fused_add_norm": true,
 "hidden_act": "silu", "hidden_size": 768, "initializer_range": 0.1, "intermediate_size": 1536,
 "layer_norm_epsilon": 1e-05, "model_type": "mamba", "n_layer": 24, "num_hidden_layers": 24,
 "pad_token_id": 0, "pad_vocab_size_multiple": 8, "rescale_prenorm_residual": false,
 "residual_in_fp32": true, "rms_norm": true, "ssm_cfg": {}, "state_size": 16,
 "time_step_floor": 0.0001, "time_step_init_scheme": "random", "time_step_max": 0.1,
 "time_step_min": 0.001, "time_step_rank": 48, "time_step_scale": 1.0, "torch_dtype": "float32",
 "transformers_version": "4.39.0.dev0", "use_bias": false, "use_cache": true,
 "use_conv_bias": true, "vocab_size": 50280})");
  EXPECT_EQ(early.interface.input_size, 50280);
  EXPECT_TRUE(early.options.flag("model.tie"));
  const models::Config second = read(
      R"({"bos_token_id": 0, "chunk_size": 256, "conv_kernel": 4, "eos_token_id": 0, "expand": 2,
 "head_dim": 64, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 8192,
 "layer_norm_epsilon": 1e-05, "model_type": "mamba2", "n_groups": 8, "norm_before_gate": true,
 "num_heads": 128, "num_hidden_layers": 64, "rms_norm": true, "state_size": 128,
 "tie_word_embeddings": false, "time_step_floor": 0.0001, "time_step_init_scheme": "random",
 "time_step_limit": [0.0, Infinity], "time_step_max": 0.1, "time_step_min": 0.001,
 "time_step_rank": 256, "time_step_scale": 1.0, "torch_dtype": "bfloat16", "use_bias": false,
 "use_cache": true, "use_conv_bias": true, "vocab_size": 32768})");
  EXPECT_EQ(second.options.integer("mamba2.groups"), 8);
  EXPECT_FALSE(second.options.flag("model.tie"));
  const models::Config original = read(
      R"({"d_model": 768, "d_intermediate": 0, "n_layer": 24, "vocab_size": 50277,
 "ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": true,
 "residual_in_fp32": true, "fused_add_norm": true, "pad_vocab_size_multiple": 16,
 "tie_embeddings": true})");
  EXPECT_EQ(original.interface.input_size, 50288);
  EXPECT_EQ(original.options.integer("mamba2.state"), 128);
}

TEST(PublishedConfig, OurOwnIsNone) {
  const models::testing::ModelCase own{"own", {}, {}};
  EXPECT_FALSE(parse_published_config(format_model_config(own.config()), "config.json"));
}

TEST(PublishedConfig, WhatLongwaveDoesNotComputeIsRefusedByName) {
  expect_refused("mamba", "\"silu\"", "\"relu\"", "hidden_act");
  expect_refused("mamba2", "1e-05", "1e-06", "layer_norm_epsilon");
  expect_refused("mamba", "\"mamba\"", "\"rwkv\"", "model_type");
  expect_refused("mamba", "\"mamba\"", "1", "model_type");
  expect_refused("mamba", "\"hidden_size\": 12", "\"hidden_size\": \"wide\"", "hidden_size");
  expect_refused("mamba", "\"hidden_size\": 12", "\"hidden_size\": -12", "d_model");
  expect_refused("mamba", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2000000000",
                 "layers");
  expect_refused("mamba", "\"intermediate_size\": 24", "\"intermediate_size\": 25",
                 "intermediate_size");
  expect_refused("mamba", "\"vocab_size\": 24", "\"vocab_size\": 0", "vocab_size");
  expect_refused("mamba", "\"vocab_size\"", "\"vocabulary\"", "vocab_size");
  expect_refused("mamba", "\"use_cache\"", "\"use_cash\"", "use_cash");
  expect_refused("mamba2", "\"num_heads\": 6", "\"num_heads\": 5", "num_heads");
  expect_refused("mamba2", "\"n_groups\": 2", "\"n_groups\": 4", "groups");
  expect_refused("mamba2", "0.5", "[0.5]", "time_step_limit");
  expect_refused("mamba2", "\"use_bias\": true", "\"use_bias\": 1", "use_bias");
  expect_refused("mamba_state_spaces", "\"d_state\": 5", "\"d_state\": 5, \"layer\": \"Mamba3\"",
                 "layer");
  expect_refused("mamba_state_spaces", "\"d_state\": 5", "\"d_states\": 5", "d_states");
  expect_refused("mamba2_one_group_state_spaces", "\"d_intermediate\": 0", "\"d_intermediate\": 8",
                 "d_intermediate");
  expect_refused("mamba2_one_group_state_spaces", "\"attn_layer_idx\": []",
                 "\"attn_layer_idx\": [1]", "attn_layer_idx");
  expect_refused("mamba2_one_group_state_spaces", "\"headdim\": 4", "\"headdim\": 0.5", "headdim");
}

TEST(PublishedConfig, InfinityIsReadInEverySpelling) {
  for (const char* spelling : {"Infinity", R"({"__float__": "Infinity"})", "1e300"}) {
    std::string text = config_text("mamba2");
    text.replace(text.find("0.5"), 3, spelling);
    const auto read = parse_published_config(text, "config.json");
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->config.options.real("mamba2.dt_most"), 1e9) << spelling;
  }
}

TEST(PublishedConfig, MutationsEndInOneOfOurErrors) {
  std::vector<longwave::testing::Bytes> seeds;
  for (const fs::directory_entry& folder : fs::directory_iterator(kFixtures)) {
    seeds.push_back(longwave::testing::bytes_of(config_text(folder.path().filename().string())));
  }
  longwave::testing::replay(seeds, 1000, [](std::span<const std::byte> bytes) {
    try {
      parse_published_config({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "fuzz");
    } catch (const Error&) {
    }
  });
}

/// A copy of a fixture with another set of tensors.
struct Changed {
  TemporaryFolder scratch;
  Weights tensors;

  explicit Changed(const char* name)
      : tensors(io::load_safetensors(kFixtures / name / "model.safetensors").weights) {
    fs::copy(kFixtures / name / "config.json", scratch / "config.json");
  }
  std::string expect_refused() {
    io::save_safetensors(scratch / "model.safetensors", tensors);
    return message_of<DataError>([&] { load_model_folder(scratch.path()); });
  }
};

TEST(PublishedWeights, WrongTensorsAreRefusedByTheirName) {
  Changed more("mamba");
  more.tensors.put("backbone.layers.2.norm.weight", Tensor(DType::kFloat32, {12}));
  EXPECT_NE(more.expect_refused().find("backbone.layers.2.norm.weight"), std::string::npos);
  Changed misshapen("mamba");
  misshapen.tensors.put("backbone.layers.1.mixer.A_log", Tensor(DType::kFloat32, {5, 24}));
  EXPECT_NE(misshapen.expect_refused().find("backbone.layers.1.mixer.A_log"), std::string::npos);
  Changed integers("mamba");
  integers.tensors.put("backbone.norm_f.weight", Tensor(DType::kInt64, {12}));
  EXPECT_NE(integers.expect_refused().find("backbone.norm_f.weight"), std::string::npos);
  Changed untied("mamba_state_spaces");
  untied.tensors.put("lm_head.weight", Tensor(DType::kFloat32, {24, 12}));
  EXPECT_NE(untied.expect_refused().find("lm_head.weight"), std::string::npos);
  Changed without("mamba2");
  Weights fewer;
  for (const auto& [name, tensor] : without.tensors.all()) {
    if (name != "lm_head.weight") fewer.put(name, tensor.clone());
  }
  without.tensors = fewer;
  EXPECT_NE(without.expect_refused().find("lm_head.weight"), std::string::npos);
}

TEST(PublishedWeights, APickleHoldsTheSameModel) {
  const ModelFolder expected = load_model_folder(kFixtures / "mamba");
  for (const char* name : {"mamba", "mamba_sharded"}) {
    const ModelFolder got = load_model_folder(kFixtures.parent_path() / "torch" / name);
    EXPECT_EQ(models::SequenceModel(got.config, got.weights).state_size(),
              models::SequenceModel(expected.config, expected.weights).state_size());
    for (const Parameter& parameter : models::parameters(expected.config)) {
      EXPECT_TRUE(std::ranges::equal(expected.weights.get(parameter.name, parameter.shape),
                                     got.weights.get(parameter.name, parameter.shape)))
          << parameter.name;
    }
  }
}

TEST(PublishedWeights, SafetensorsAreTakenBeforeAPickle) {
  const TemporaryFolder scratch;
  fs::copy(kFixtures / "mamba", scratch.path(), fs::copy_options::recursive);
  write(scratch / "pytorch_model.bin", "PK");
  EXPECT_NO_THROW(load_model_folder(scratch.path()));
  fs::remove(scratch / "model.safetensors");
  EXPECT_NE(message_of<DataError>([&] { load_model_folder(scratch.path()); }).find("zip"),
            std::string::npos);
}

TEST(PublishedWeights, AnIndexNamesFilesBesideItOnly) {
  for (const char* file :
       {"\"../mamba/model.safetensors\"", "\"/etc/passwd\"", "\"..\"", "\"\"", "7", "{}"}) {
    const TemporaryFolder scratch;
    fs::copy(kFixtures / "mamba" / "config.json", scratch / "config.json");
    write(scratch / "model.safetensors.index.json",
          std::string(R"({"weight_map": {"a": )") + file + "}}");
    EXPECT_NE(message_of<DataError>([&] { load_model_folder(scratch.path()); }).find("index"),
              std::string::npos)
        << file;
  }
  const TemporaryFolder scratch;
  fs::copy(kFixtures / "mamba_sharded", scratch.path(), fs::copy_options::recursive);
  fs::remove(scratch / "model-00002-of-00002.safetensors");
  EXPECT_THROW(load_model_folder(scratch.path()), IoError);
}

TEST(PublishedWeights, MatricesOfSixteenBitsStayThat) {
  const ModelFolder model = load_model_folder(kFixtures / "mamba_sharded");
  for (const Parameter& parameter : models::parameters(model.config)) {
    const bool matrix = parameter.storage == Storage::kMatrix;
    EXPECT_EQ(model.weights.of(parameter).dtype(), matrix ? DType::kBFloat16 : DType::kFloat32)
        << parameter.name;
  }
}

}  // namespace
}  // namespace longwave::runtime
