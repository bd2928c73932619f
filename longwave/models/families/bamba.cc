// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

constexpr double kRotaryPart = 0.5;

/// The layers that attn_layer_indices does not name are Mamba-2.
std::vector<std::string> read_layers(PublishedReader& reader) {
  const int64_t count = read_layer_count(reader, 32);
  std::vector<std::string> layers(static_cast<size_t>(count), "mamba2");
  for (int64_t i = 0; i < count; ++i) {
    const std::string key = "attn_layer_indices." + std::to_string(i);
    if (!reader.has(key)) break;
    const int64_t layer = reader.integer(key);
    if (layer < 0 || layer >= count) reader.refuse(key, "there is no such layer");
    layers[static_cast<size_t>(layer)] = "attention";
  }
  return layers;
}

Options read(PublishedReader& reader) {
  Options options = hybrid_options(read_layers(reader), "mlp");
  options.set("model.d_model", reader.integer("hidden_size", int64_t{4096}), kConfigName);
  options.set("model.hidden", reader.integer("intermediate_size", int64_t{14336}), kConfigName);
  options.set("model.mlp_bias", reader.flag("mlp_bias", false), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", false), kConfigName);
  require_silu(reader, "hidden_act");
  read_norm_epsilon(reader, 1e-5, options);
  read_mamba2_keys(reader, 0, options);
  read_attention_keys(reader, {.heads = 32, .kv_heads = 8}, options);
  read_rotary_keys(reader, options);
  reader.must_be("partial_rotary_factor", kRotaryPart);
  reader.must_be("rope_parameters.partial_rotary_factor", kRotaryPart);
  if (options.has("attention.rotary_part")) {
    options.set("attention.rotary_part", kRotaryPart, kConfigName);
    // How the first conversions said the same.
    reader.must_be("attn_rotary_emb", options.integer("attention.head_dim") / 2);
  }
  reader.pass_over(
      {"num_logits_to_keep", "z_loss_coefficient", "attn_rotary_emb", "use_mamba_kernels"});
  return options;
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  PublishedConfig config = {{"hidden_size", options.at("model.d_model")},
                            {"num_hidden_layers", static_cast<int64_t>(layers.size())},
                            {"intermediate_size", options.at("model.hidden")},
                            {"mlp_bias", options.at("model.mlp_bias")},
                            {"hidden_act", std::string("silu")},
                            {"rms_norm_eps", options.at("model.norm_epsilon")}};
  int64_t found = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].family != "attention") continue;
    config["attn_layer_indices." + std::to_string(found++)] = static_cast<int64_t>(i);
  }
  if (options.has("mamba2.state")) write_mamba2_keys(options, config);
  if (found == 0) return config;
  write_attention_keys(options, config);
  write_rotary_keys(options, config);
  config["rope_parameters.partial_rotary_factor"] = kRotaryPart;
  return config;
}

void place(TensorMap& map) {
  place_hybrid(map, {.mlp_norm = "pre_ff_layernorm", .norm = "final_layernorm"});
}

}  // namespace

/// Bamba (IBM, Princeton, CMU and UIUC 2024): Mamba-2 with some layers of attention, and an MLP
/// after each.
constinit const PublishedFamily kBambaFamily = {"bamba", "BambaForCausalLM", read, write,
                                                place,   &kBambaGguf};

}  // namespace longwave::models
