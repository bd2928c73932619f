// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

constexpr const char* kHybrid = "shared>mamba2";

std::vector<std::string> read_layers(PublishedReader& reader) {
  const std::string list = reader.has("layer_types.0") ? "layer_types." : "layers_block_type.";
  std::vector<std::string> layers(static_cast<size_t>(read_layer_count(reader, 54)), "mamba2");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string key = list + std::to_string(i), type = reader.text(key, "");
    const bool hybrid = type == "hybrid";
    if (hybrid) layers[i] = kHybrid;
    if (!hybrid && type != "mamba" && type != "linear_attention") {
      reader.refuse(key, "is no type of a layer", "mamba and hybrid are");
    }
  }
  return layers;
}

void read_mixer(PublishedReader& reader, Options& options) {
  const int64_t inner =
      reader.integer("mamba_expand", int64_t{2}) * options.integer("model.d_model");
  const int64_t heads = reader.integer("n_mamba_heads", int64_t{8});
  if (heads < 1 || inner % heads != 0) {
    reader.refuse("n_mamba_heads", "must divide mamba_expand times hidden_size");
  }
  reader.must_be("mamba_headdim", inner / heads);
  options.set("mamba2.expand", reader.integer("mamba_expand", int64_t{2}), kConfigName);
  options.set("mamba2.head_dim", inner / heads, kConfigName);
  options.set("mamba2.state", reader.integer("mamba_d_state", int64_t{64}), kConfigName);
  options.set("mamba2.width", reader.integer("mamba_d_conv", int64_t{4}), kConfigName);
  options.set("mamba2.groups", reader.integer("mamba_ngroups", int64_t{1}), kConfigName);
  options.set("mamba2.bias", options.flag("model.mlp_bias"), kConfigName);
  // Steps are not shorter than those of the start; nothing limits them upwards.
  options.set("mamba2.dt_least", reader.real("time_step_min", 0.001), kConfigName);
  options.set("mamba2.dt_max", reader.real("time_step_max", 0.1), kConfigName);
  options.set("mamba2.dt_floor", reader.real("time_step_floor", 1e-4), kConfigName);
}

void read_shared(PublishedReader& reader, int64_t calls, Options& options) {
  if (calls == 0) return;
  // Blocks that no layer calls are not there.
  options.set("shared.blocks", std::min(reader.integer("num_mem_blocks", int64_t{1}), calls),
              kConfigName);
  options.set("shared.adapter_rank", reader.integer("adapter_rank", int64_t{128}), kConfigName);
  options.set("shared.adapt_attention", reader.flag("use_shared_attention_adapter", false),
              kConfigName);
  read_attention_keys(reader, {.heads = 32, .kv_heads = 0}, options);
  const int64_t heads = options.integer("attention.heads");
  const int64_t width = 2 * options.integer("model.d_model");
  if (width % heads != 0) {
    reader.refuse("num_attention_heads", "must divide twice hidden_size");
  }
  reader.must_be("num_key_value_heads", heads);
  reader.must_be("attention_head_dim", width / heads);
  reader.must_be("attention_hidden_size", width);
  options.set("attention.head_dim", width / heads, kConfigName);
  options.set("attention.scale", 1 / std::sqrt(static_cast<double>(width / heads) / 2),
              kConfigName);
  reader.must_be("use_long_context", false);
  if (reader.flag("use_mem_rope", false)) {
    read_rotary_keys(reader, options);
  } else {
    options.set("attention.rotary_base", 0.0, kConfigName);
  }
}

Options read(PublishedReader& reader) {
  const std::vector<std::string> layers = read_layers(reader);
  Options options = hybrid_options(layers, "none");
  const int64_t channels = reader.integer("hidden_size", int64_t{2560});
  options.set("model.d_model", channels, kConfigName);
  options.set("model.hidden", reader.integer("intermediate_size", 4 * channels), kConfigName);
  options.set("model.mlp_bias", reader.flag("add_bias_linear", false), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", true), kConfigName);
  options.set("model.norm_epsilon", reader.real("rms_norm_eps", 1e-5), kConfigName);
  const bool exact = !reader.has("hidden_act") || reader.says("hidden_act", std::string("gelu"));
  if (!exact) require_silu(reader, "hidden_act");
  options.set("model.mlp_kind", std::string(exact ? "geglu" : "swiglu"), kConfigName);
  read_mixer(reader, options);
  read_shared(reader, std::ranges::count(layers, kHybrid), options);
  // Convolutions have a bias whatever use_conv_bias says, and MLPs their adapters.
  reader.pass_over({"hybrid_layer_ids",
                    "kv_channels",
                    "num_query_groups",
                    "use_mamba_kernels",
                    "use_mem_eff_path",
                    "use_conv_bias",
                    "use_shared_mlp_adapter",
                    "num_logits_to_keep",
                    "time_step_limit",
                    "num_mem_blocks",
                    "adapter_rank",
                    "use_shared_attention_adapter",
                    "num_attention_heads",
                    "num_key_value_heads",
                    "attention_head_dim",
                    "attention_hidden_size",
                    "use_mem_rope",
                    "use_long_context",
                    "rope_theta",
                    "rope_scaling",
                    "rope_parameters",
                    "attention_dropout",
                    "max_position_embeddings"});
  return options;
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  const int64_t channels = options.integer("model.d_model");
  const mixers::mamba2::Settings settings(options.section("mamba2"), channels);
  PublishedConfig config = {
      {"hidden_size", channels},
      {"num_hidden_layers", static_cast<int64_t>(layers.size())},
      {"intermediate_size", options.at("model.hidden")},
      {"add_bias_linear", options.at("model.mlp_bias")},
      {"rms_norm_eps", options.at("model.norm_epsilon")},
      {"hidden_act", std::string(options.text("model.mlp_kind") == "geglu" ? "gelu" : "silu")},
      {"mamba_expand", options.at("mamba2.expand")},
      {"n_mamba_heads", settings.heads},
      {"mamba_ngroups", settings.groups},
      {"mamba_d_state", settings.state},
      {"mamba_d_conv", settings.width},
      {"time_step_min", options.at("mamba2.dt_least")},
      {"time_step_max", options.at("mamba2.dt_max")},
      {"time_step_floor", options.at("mamba2.dt_floor")}};
  for (size_t i = 0; i < layers.size(); ++i) {
    config["layers_block_type." + std::to_string(i)] =
        std::string(layers[i].shared ? "hybrid" : "mamba");
  }
  if (!options.has("shared.blocks")) return config;
  config["num_mem_blocks"] = options.at("shared.blocks");
  config["adapter_rank"] = options.at("shared.adapter_rank");
  config["use_shared_attention_adapter"] = options.at("shared.adapt_attention");
  config["num_attention_heads"] = options.at("attention.heads");
  config["num_key_value_heads"] = options.at("attention.kv_heads");
  config["max_position_embeddings"] = options.at("attention.positions");
  const bool turns = options.real("attention.rotary_base") != 0;
  config["use_mem_rope"] = turns;
  if (turns) write_rotary_keys(options, config);
  return config;
}

/// A block lies where it is called first, under its layer's name; layers that call it again may
/// repeat it.
void place_shared(TensorMap& map, const std::string& ours, const std::string& theirs) {
  map.below(ours + "norm.", theirs + "input_layernorm.");
  place_attention(map, ours + "attention.", theirs + "self_attn.");
  map.below(ours + "mlp_norm.", theirs + "pre_ff_layernorm.");
  const std::string mlp = theirs + "feed_forward.", both = mlp + "gate_up_proj";
  place_gated_mlp(map, ours + "mlp.", {.gate = both, .up = both, .down = mlp + "down_proj"});
}

/// What call number `call` has of its own: adapters lie with the block.
void place_call(TensorMap& map, const std::string& ours, const std::string& block,
                const std::string& call) {
  for (const std::string part : {"q", "k", "v"}) {
    const std::string theirs = block + "self_attn.linear_" + part + "_adapter_list." + call;
    map.whole(ours + "adapter." + part + ".down.weight", theirs + ".0.weight");
    map.whole(ours + "adapter." + part + ".up.weight", theirs + ".1.weight");
  }
  const std::string theirs = block + "feed_forward.gate_up_proj_adapter_list." + call;
  map.whole(ours + "adapter.up.down.weight", theirs + ".0.weight");
  place_gate_first(map, ours + "adapter.up.up.weight", theirs + ".1.weight");
}

void place(TensorMap& map) {
  const Options& options = map.config().options;
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  map.whole("encoder.weight", "model.embed_tokens.weight");
  std::vector<std::string> blocks;  // where each lies in a file
  size_t calls = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string ours = "layers." + std::to_string(i) + ".";
    const std::string layer = "model." + ours;
    const std::string theirs = layers[i].shared ? layer + "mamba_decoder." : layer;
    map.below(ours + "norm.", theirs + "input_layernorm.");
    map.below(ours + "mixer.", theirs + "mamba.");
    if (!layers[i].shared) continue;
    const std::string here = layer + "shared_transformer.";
    const size_t block = calls % static_cast<size_t>(options.integer("shared.blocks"));
    if (block == blocks.size()) {
      place_shared(map, "shared." + std::to_string(block) + ".", here);
      blocks.push_back(here);
    } else {
      map.repeats(blocks[block], here);
    }
    place_call(map, ours + "shared.", blocks[block], std::to_string(calls));
    map.whole(ours + "shared.out.weight", layer + "linear.weight");
    ++calls;
  }
  map.below("norm.", "model.final_layernorm.");
  map.whole("decoder.weight", "lm_head.weight");
}

}  // namespace

/// Zamba2 as Glorioso et al. published it, arXiv:2411.15242: Mamba-2, and transformer blocks whose
/// weights several layers share.
constinit const PublishedFamily kZamba2Family = {"zamba2", "Zamba2ForCausalLM", read, write, place};

}  // namespace longwave::models
