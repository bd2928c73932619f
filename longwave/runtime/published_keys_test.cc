// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/runtime/published_folder.h"

namespace longwave::runtime {
namespace {

using longwave::testing::message_of;

const std::filesystem::path kFixtures = LONGWAVE_SOURCE_DIR "/tests/fixtures/published";

/// Keys of configurations as they stand in well-known repositories, with fewer layers.
TEST(PublishedFamilies, KeysOfWellKnownRepositoriesAreRead) {
  const auto read = [](const std::string& text) {
    const auto found = parse_published_config(text, "config.json");
    return found ? found->config.options : Options();
  };
  const Options bamba = read(R"({"architectures": ["BambaForCausalLM"], "attention_bias": false,
    "attention_dropout": 0.0, "attn_layer_indices": [1], "attn_rotary_emb": 64,
    "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 14336, "mamba_chunk_size": 256,
    "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128,
    "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 128, "mamba_proj_bias": false,
    "max_position_embeddings": 262144, "mlp_bias": false, "model_type": "bamba",
    "num_attention_heads": 32, "num_hidden_layers": 3, "num_key_value_heads": 8,
    "num_logits_to_keep": 1, "pad_token_id": 0, "rms_norm_eps": 1e-05,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
    "use_mamba_kernels": true, "vocab_size": 128256})");
  EXPECT_EQ(bamba.text("model.pattern"), "mamba2 attention mamba2 | mlp");
  EXPECT_EQ(bamba.real("attention.rotary_part"), 0.5);
  const Options granite = read(R"({"architectures": ["GraniteMoeHybridForCausalLM"],
    "attention_bias": false, "attention_dropout": 0.0, "attention_multiplier": 0.0078125,
    "bos_token_id": 100257, "embedding_multiplier": 12, "eos_token_id": 100257,
    "hidden_act": "silu", "hidden_size": 1536, "init_method": "mup", "initializer_range": 0.1,
    "intermediate_size": 512, "layer_types": ["mamba", "attention"], "logits_scaling": 6,
    "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 64,
    "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_n_heads": 48,
    "mamba_proj_bias": false, "max_position_embeddings": 131072, "model_type": "granitemoehybrid",
    "normalization_function": "rmsnorm", "num_attention_heads": 12, "num_experts_per_tok": 6,
    "num_hidden_layers": 2, "num_key_value_heads": 4, "num_local_experts": 64,
    "output_router_logits": false, "pad_token_id": 100256, "position_embedding_type": "nope",
    "residual_multiplier": 0.22, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000,
    "router_aux_loss_coef": 0.0, "shared_intermediate_size": 1024, "tie_word_embeddings": true,
    "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 100352})");
  EXPECT_EQ(granite.real("attention.rotary_base"), 0);
  EXPECT_EQ(granite.integer("moe.shared"), 1024);
  const Options falcon = read(R"({"architectures": ["FalconH1ForCausalLM"],
    "attention_bias": false, "attention_dropout": 0.0, "attention_in_multiplier": 1.0,
    "attention_out_multiplier": 0.9375, "attn_layer_indices": null, "bos_token_id": 1,
    "embedding_multiplier": 5.656854249492381, "eos_token_id": 11, "head_dim": 64,
    "hidden_act": "silu", "hidden_size": 1024, "initializer_range": 0.02,
    "intermediate_size": 2048, "key_multiplier": 0.390625, "lm_head_multiplier": 0.0390625,
    "mamba_chunk_size": 128, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_head": 64,
    "mamba_d_ssm": 1536, "mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1,
    "mamba_n_heads": 24, "mamba_norm_before_gate": false, "mamba_proj_bias": false,
    "mamba_rms_norm": false, "mamba_use_mlp": true, "max_position_embeddings": 16384,
    "mlp_bias": false, "mlp_expansion_factor": 8,
    "mlp_multipliers": [0.8838834764831844, 0.5859375], "model_type": "falcon_h1",
    "num_attention_heads": 8, "num_hidden_layers": 2, "num_key_value_heads": 2,
    "num_logits_to_keep": 1, "pad_token_id": 0, "projectors_bias": false, "rms_norm_eps": 1e-05,
    "rope_scaling": null, "rope_theta": 100000000000.0, "ssm_in_multiplier": 1.25,
    "ssm_multipliers": [0.35, 0.25, 0.17, 0.5, 0.35], "ssm_out_multiplier": 0.23570226039551587,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
    "vocab_size": 32784})");
  EXPECT_EQ(falcon.text("model.pattern"), "mamba2+attention*2 | mlp");
  EXPECT_EQ(falcon.text("mamba2.norm"), "none");
  const Options zamba = read(R"({"adapter_rank": 128, "add_bias_linear": false,
    "architectures": ["Zamba2ForCausalLM"], "attention_dropout": 0.0, "attention_head_dim": 128,
    "attention_hidden_size": 4096, "bos_token_id": 1, "chunk_size": 256, "eos_token_id": 2,
    "hidden_act": "gelu", "hidden_size": 2048, "hybrid_layer_ids": [1], "initializer_range": 0.02,
    "intermediate_size": 8192, "kv_channels": 64, "layers_block_type": ["mamba", "hybrid"],
    "mamba_d_conv": 4, "mamba_d_state": 128, "mamba_expand": 2, "mamba_headdim": 64,
    "mamba_ngroups": 1, "max_position_embeddings": 4096, "model_type": "zamba2",
    "n_mamba_heads": 64, "num_attention_heads": 32, "num_hidden_layers": 2,
    "num_key_value_heads": 32, "num_logits_to_keep": 1, "num_mem_blocks": 1,
    "num_query_groups": 32, "pad_token_id": 0, "rms_norm_eps": 1e-05, "rope_theta": 10000,
    "time_step_floor": 0.0001, "time_step_limit": null, "time_step_max": 0.1,
    "time_step_min": 0.001, "use_cache": true, "use_conv_bias": true, "use_long_context": false,
    "use_mamba_kernels": true, "use_mem_eff_path": false, "use_mem_rope": true,
    "use_shared_attention_adapter": true, "use_shared_mlp_adapter": true, "vocab_size": 32000})");
  EXPECT_EQ(zamba.text("model.pattern"), "mamba2 shared>mamba2 | none");
  EXPECT_EQ(zamba.real("attention.scale"), 0.125);
}

/// Layers that call a block again may repeat its weights, but not change them.
TEST(PublishedFamilies, SharedBlocksMayBeRepeated) {
  const auto description = parse_published_config(
      io::read_text(kFixtures / "zamba2_one_block" / "config.json", 1 << 20), "config.json");
  ASSERT_TRUE(description.has_value());
  Weights file = io::load_safetensors(kFixtures / "zamba2_one_block" / "model.safetensors").weights;
  const std::string name = ".shared_transformer.pre_ff_layernorm.weight";
  Tensor again = file.all().at("model.layers.1" + name).clone();
  file.put("model.layers.3" + name, again.clone());
  EXPECT_NO_THROW(models::from_published(description->format, description->config, file, "test"));
  again.elements<float>()[0] += 1;
  file.put("model.layers.3" + name, std::move(again));
  const std::string said = message_of<DataError>(
      [&] { models::from_published(description->format, description->config, file, "test"); });
  EXPECT_NE(said.find("model.layers.3" + name), std::string::npos) << said;
}

}  // namespace
}  // namespace longwave::runtime
