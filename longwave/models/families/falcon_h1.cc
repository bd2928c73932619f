// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

/// Multipliers under our names and theirs.
constexpr std::pair<const char*, const char*> kMultipliers[] = {
    {"model.embedding_multiplier", "embedding_multiplier"},
    {"model.logits_multiplier", "lm_head_multiplier"},
    {"model.gate_multiplier", "mlp_multipliers.0"},
    {"model.down_multiplier", "mlp_multipliers.1"},
    {"attention.in_multiplier", "attention_in_multiplier"},
    {"attention.key_multiplier", "key_multiplier"},
    {"attention.out_multiplier", "attention_out_multiplier"},
    {"mamba2.in_multiplier", "ssm_in_multiplier"},
    {"mamba2.z_multiplier", "ssm_multipliers.0"},
    {"mamba2.x_multiplier", "ssm_multipliers.1"},
    {"mamba2.B_multiplier", "ssm_multipliers.2"},
    {"mamba2.C_multiplier", "ssm_multipliers.3"},
    {"mamba2.dt_multiplier", "ssm_multipliers.4"},
    {"mamba2.out_multiplier", "ssm_out_multiplier"}};

void read_norm_of_scan(PublishedReader& reader, Options& options) {
  const bool normed = reader.flag("mamba_rms_norm", false);
  const bool before = reader.flag("mamba_norm_before_gate", true);
  const char* order = before ? "before_gate" : "after_gate";
  options.set("mamba2.norm", std::string(normed ? order : "none"), kConfigName);
}

Options read(PublishedReader& reader) {
  const int64_t layers = read_layer_count(reader, 32);
  Options options = hybrid_options(
      std::vector<std::string>(static_cast<size_t>(layers), "mamba2+attention"), "mlp");
  options.set("model.d_model", reader.integer("hidden_size", int64_t{4096}), kConfigName);
  options.set("model.hidden", reader.integer("intermediate_size", int64_t{14336}), kConfigName);
  options.set("model.mlp_bias", reader.flag("mlp_bias", false), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", false), kConfigName);
  require_silu(reader, "hidden_act");
  read_norm_epsilon(reader, 1e-5, options);
  read_mamba2_keys(reader, reader.integer("mamba_d_ssm", int64_t{1024}), options);
  // One says it of the projection in, the other of that out.
  reader.must_be("projectors_bias", options.flag("mamba2.bias"));
  if (options.flag("mamba2.bias") && !reader.flag("projectors_bias", false)) {
    reader.refuse("projectors_bias", "this is not supported", "it must be as mamba_proj_bias");
  }
  read_norm_of_scan(reader, options);
  read_attention_keys(reader, {.heads = 32, .kv_heads = 8}, options);
  read_rotary_keys(reader, options);
  for (const auto& [ours, theirs] : kMultipliers) {
    options.set(ours, reader.real(theirs, 1), kConfigName);
  }
  reader.pass_over({"num_logits_to_keep", "mamba_use_mlp", "mlp_expansion_factor"});
  return options;
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  PublishedConfig config = {
      {"hidden_size", options.at("model.d_model")},
      {"num_hidden_layers", static_cast<int64_t>(layers.size())},
      {"intermediate_size", options.at("model.hidden")},
      {"mlp_bias", options.at("model.mlp_bias")},
      {"hidden_act", std::string("silu")},
      {"rms_norm_eps", options.at("model.norm_epsilon")},
      {"mamba_d_ssm", options.at("mamba2.inner")},
      {"projectors_bias", options.at("mamba2.bias")},
      {"mamba_rms_norm", options.text("mamba2.norm") != "none"},
      {"mamba_norm_before_gate", options.text("mamba2.norm") != "after_gate"}};
  write_mamba2_keys(options, config);
  write_attention_keys(options, config);
  write_rotary_keys(options, config);
  for (const auto& [ours, theirs] : kMultipliers) config[theirs] = options.at(ours);
  return config;
}

void place_both(TensorMap& map, const Pattern::Layer&, const std::string& ours,
                const std::string& theirs) {
  map.below(ours + "mixer.mamba2.", theirs + "mamba.");
  place_attention(map, ours + "mixer.attention.", theirs + "self_attn.");
}

void place(TensorMap& map) {
  place_hybrid(map,
               {.mlp_norm = "pre_ff_layernorm", .norm = "final_layernorm", .mixer = place_both});
}

}  // namespace

/// Falcon-H1 as Zuo et al. published it, arXiv:2507.22448: Mamba-2 and attention beside each other
/// in every layer, an MLP after them, and fixed multipliers of all parts.
constinit const PublishedFamily kFalconH1Family = {"falcon_h1", "FalconH1ForCausalLM", read, write,
                                                   place};

}  // namespace longwave::models
