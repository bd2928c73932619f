// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/gguf_hybrid.h"
#include "longwave/models/families/gguf_keys.h"
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

std::vector<std::string> parallel_layers(int64_t count) {
  return std::vector<std::string>(static_cast<size_t>(count), "mamba2+attention");
}

void read_norm_of_scan(PublishedReader& reader, Options& options) {
  const bool normed = reader.flag("mamba_rms_norm", false);
  const bool before = reader.flag("mamba_norm_before_gate", true);
  const char* order = before ? "before_gate" : "after_gate";
  options.set("mamba2.norm", std::string(normed ? order : "none"), kConfigName);
}

Options read(PublishedReader& reader) {
  const int64_t layers = read_layer_count(reader, 32);
  Options options = hybrid_options(parallel_layers(layers), "mlp");
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

std::string gguf_multiplier(const std::string& option) { return "longwave.multiplier." + option; }

Options read_gguf(PublishedReader& reader) {
  Options options = hybrid_options(parallel_layers(read_gguf_layer_count(reader)), "mlp");
  read_gguf_width(reader, options);
  options.set("model.hidden", reader.integer("feed_forward_length"), kGgufName);
  options.set("model.mlp_bias", false, kGgufName);
  read_gguf_mamba2(reader, InnerSize::kAlone, options);
  const bool normed = reader.flag("has_scan_norm", false);
  options.set("mamba2.norm", std::string(normed ? "after_gate" : "none"), kGgufName);
  read_gguf_attention(reader, options);
  for (const auto& [ours, theirs] : kMultipliers) {
    options.set(ours, reader.real(gguf_multiplier(ours), 1), kGgufName);
  }
  pass_over_gguf(reader);
  return options;
}

PublishedConfig write_gguf(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  if (options.flag("model.tie") &&
      options.real("model.embedding_multiplier") != options.real("model.logits_multiplier")) {
    throw ConfigError({.where = "model.tie",
                       .what = "the gguf form of falcon_h1 cannot say this: it multiplies a tied "
                               "embedding and head alike",
                       .got = {},
                       .fix = "it needs a head of its own, or one value for "
                              "model.embedding_multiplier and model.logits_multiplier"});
  }
  PublishedConfig config = write_gguf_width(options);
  config["feed_forward_length"] = options.at("model.hidden");
  write_gguf_mamba2(options, config);
  write_gguf_expand(options, config);
  write_gguf_attention(options, layers, config);
  if (options.text("mamba2.norm") != "none") config["has_scan_norm"] = true;
  for (const auto& [ours, theirs] : kMultipliers) {
    if (options.real(ours) != 1) config[gguf_multiplier(ours)] = options.at(ours);
  }
  return config;
}

void place_gguf(TensorMap& map) {
  const Options& options = map.config().options;
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  map.whole("encoder.weight", "token_embd.weight", options.real("model.embedding_multiplier"));
  for (int64_t i = 0; i < static_cast<int64_t>(layers.size()); ++i) {
    const std::string n = std::to_string(i), ours = "layers." + n + ".", theirs = "blk." + n + ".";
    map.whole(ours + "norm.weight", theirs + "attn_norm.weight");
    place_gguf_mamba2(map, ours + "mixer.mamba2.", i);
    place_gguf_attention(map, ours + "mixer.attention.", i);
    // Of all the norms this one goes without an ending.
    map.whole(ours + "mlp_norm.weight", theirs + "ffn_norm");
    place_gguf_mlp(map, i);
  }
  map.whole("norm.weight", "output_norm.weight");
  map.whole("decoder.weight", "output.weight", options.real("model.logits_multiplier"));
}

constexpr GgufForm kGguf = {"falcon-h1", read_gguf, write_gguf, place_gguf};

}  // namespace

/// Falcon-H1 as Zuo et al. published it, arXiv:2507.22448: Mamba-2 and attention beside each other
/// in every layer, an MLP after them, and fixed multipliers of all parts.
constinit const PublishedFamily kFalconH1Family = {
    "falcon_h1", "FalconH1ForCausalLM", read, write, place, &kGguf};

}  // namespace longwave::models
