// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

/// Every period-th layer from `first` on: what i mod period = first says.
struct Every {
  int64_t period = 1, first = 0;
  bool holds(int64_t layer) const { return layer % period == first; }
};

Every read_every(PublishedReader& reader, const std::string& kind, const Every& otherwise) {
  const std::string key = kind + "_layer_period";
  const Every every = {reader.integer(key, otherwise.period),
                       reader.integer(kind + "_layer_offset", otherwise.first)};
  if (every.period < 1 || every.first < 0 || every.first >= every.period) {
    reader.refuse(key, "must be more than the offset, which must not be negative");
  }
  return every;
}

/// The shortest period that tells these layers from the others.
Every find_every(const std::vector<bool>& chosen, const char* what) {
  const auto layers = static_cast<int64_t>(chosen.size());
  for (int64_t period = 1; period <= layers + 1; ++period) {
    for (int64_t first = 0; first < period; ++first) {
      const Every every = {period, first};
      bool fits = true;
      for (int64_t i = 0; i < layers; ++i) {
        fits = fits && every.holds(i) == chosen[static_cast<size_t>(i)];
      }
      if (fits) return every;
    }
  }
  throw ConfigError(
      {.where = "model.pattern",
       .what = std::string("the hf form of jamba cannot say which layers have ") + what,
       .got = {},
       .fix = "it needs every n-th layer"});
}

void read_mamba(PublishedReader& reader, Options& options) {
  for (const auto& [ours, theirs] : {std::pair{"mamba.state", "mamba_d_state"},
                                     {"mamba.width", "mamba_d_conv"},
                                     {"mamba.expand", "mamba_expand"}}) {
    options.set(ours, reader.integer(theirs, options.integer(ours)), kConfigName);
  }
  if (!reader.says("mamba_dt_rank", std::string("auto"))) {
    options.set("mamba.dt_rank", reader.integer("mamba_dt_rank", int64_t{0}), kConfigName);
  }
  options.set("mamba.conv_bias", reader.flag("mamba_conv_bias", true), kConfigName);
  options.set("mamba.bias", reader.flag("mamba_proj_bias", false), kConfigName);
  options.set("mamba.selection_norm", std::string("learned"), kConfigName);
  options.set("mamba.selection_epsilon", options.at("model.norm_epsilon"), kConfigName);
}

Options read(PublishedReader& reader) {
  const int64_t count = read_layer_count(reader, 32);
  const Every attention = read_every(reader, "attn", {8, 4});
  const Every experts = read_every(reader, "expert", {2, 1});
  const int64_t expert_count = reader.integer("num_experts", int64_t{16});
  const int64_t chosen = reader.integer("num_experts_per_tok", int64_t{2});
  std::vector<std::string> layers;
  bool any_expert = false;
  for (int64_t i = 0; i < count; ++i) {
    layers.emplace_back(attention.holds(i) ? "attention" : "mamba");
    any_expert = any_expert || (expert_count > 1 && experts.holds(i));
  }
  const std::string rule = "moe every " + std::to_string(experts.period) + " offset " +
                           std::to_string(experts.first) + ", mlp";
  Options options = hybrid_options(layers, any_expert ? rule : "mlp");
  options.set("model.d_model", reader.integer("hidden_size", int64_t{4096}), kConfigName);
  options.set("model.hidden", reader.integer("intermediate_size", int64_t{14336}), kConfigName);
  options.set("model.mlp_bias", false, kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", false), kConfigName);
  read_norm_epsilon(reader, 1e-6, options);
  if (any_expert) {
    options.set("moe.experts", expert_count, kConfigName);
    options.set("moe.chosen", chosen, kConfigName);
    options.set("moe.renormalise", false, kConfigName);
  }
  read_attention_keys(reader, {.heads = 32, .kv_heads = 8}, options);
  if (options.has("attention.rotary_base")) options.set("attention.rotary_base", 0.0, kConfigName);
  if (options.has("mamba.state")) read_mamba(reader, options);
  require_silu(reader, "hidden_act");
  reader.must_be("mamba_inner_layernorms", true);
  reader.must_be("attention_bias", false);
  reader.pass_over({"router_aux_loss_coef", "output_router_logits", "use_mamba_kernels",
                    "num_logits_to_keep", "calc_logits_for_entire_prompt", "mamba_d_state",
                    "mamba_d_conv", "mamba_expand", "mamba_dt_rank", "mamba_conv_bias",
                    "mamba_proj_bias"});
  return options;
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  std::vector<bool> attends, chooses;
  for (const Pattern::Layer& layer : layers) {
    attends.push_back(layer.family == "attention");
    chooses.push_back(layer.after == AfterMixer::kMoe);
  }
  const Every attention = find_every(attends, "attention");
  const Every experts = find_every(chooses, "experts");
  const bool has_experts = options.has("moe.experts");
  PublishedConfig config = {
      {"hidden_size", options.at("model.d_model")},
      {"num_hidden_layers", static_cast<int64_t>(layers.size())},
      {"intermediate_size", options.at("model.hidden")},
      {"hidden_act", std::string("silu")},
      {"rms_norm_eps", options.at("model.norm_epsilon")},
      {"attn_layer_period", attention.period},
      {"attn_layer_offset", attention.first},
      {"expert_layer_period", experts.period},
      {"expert_layer_offset", experts.first},
      {"num_experts", has_experts ? options.at("moe.experts") : Value(int64_t{1})},
      {"num_experts_per_tok", has_experts ? options.at("moe.chosen") : Value(int64_t{1})}};
  if (options.has("attention.heads")) {
    write_attention_keys(options, config);
    config.erase("attention_bias");
  }
  if (!options.has("mamba.state")) return config;
  const int64_t rank = options.integer("mamba.dt_rank");
  config["mamba_d_state"] = options.at("mamba.state");
  config["mamba_d_conv"] = options.at("mamba.width");
  config["mamba_expand"] = options.at("mamba.expand");
  config["mamba_dt_rank"] = rank > 0 ? Value(rank) : Value(std::string("auto"));
  config["mamba_conv_bias"] = options.at("mamba.conv_bias");
  config["mamba_proj_bias"] = options.at("mamba.bias");
  return config;
}

/// Newer files have the experts in one tensor, gate before value; older ones have three for each.
void place_experts(TensorMap& map, const std::string& ours, const std::string& theirs) {
  map.whole(ours + "router.weight", theirs + "router.weight");
  const std::string up = ours + "up.weight", down = ours + "down.weight";
  const std::string both = theirs + "experts.gate_up_proj";
  const Shape& shape = map.shape(up);  // (experts, 2 hidden, channels)
  const int64_t hidden = shape[1] / 2, channels = shape[2];
  const bool together = map.in_file(both);
  if (together) map.whole(down, theirs + "experts.down_proj");
  for (int64_t e = 0; e < shape[0]; ++e) {
    const std::string expert = theirs + "experts." + std::to_string(e) + ".";
    for (const int64_t half : {0, 1}) {
      map.place(
          {.ours = up,
           .our_shape = {},
           .our_row = (2 * e + half) * hidden,
           .theirs = together ? both : expert + (half == 0 ? "up_proj" : "gate_proj") + ".weight",
           .their_shape = together ? shape : Shape{hidden, channels},
           .their_row = together ? (2 * e + 1 - half) * hidden : 0,
           .rows = hidden});
    }
    if (together) continue;
    map.place({.ours = down,
               .our_shape = {},
               .our_row = e * channels,
               .theirs = expert + "down_proj.weight",
               .their_shape = {channels, hidden},
               .rows = channels});
  }
}

void place(TensorMap& map) {
  const std::vector<Pattern::Layer> layers =
      parse_pattern(map.config().options.text("model.pattern")).layers;
  map.whole("encoder.weight", "model.embed_tokens.weight");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string ours = "layers." + std::to_string(i) + ".", theirs = "model." + ours;
    map.below(ours + "norm.", theirs + "input_layernorm.");
    if (layers[i].family == "attention") {
      place_attention(map, ours + "mixer.", theirs + "self_attn.");
    } else {
      map.below(ours + "mixer.", theirs + "mamba.");
    }
    map.below(ours + "mlp_norm.", theirs + "pre_ff_layernorm.");
    const std::string inner = theirs + "feed_forward.";
    if (layers[i].after == AfterMixer::kMoe) {
      place_experts(map, ours + "moe.", inner);
    } else {
      place_gated_mlp(
          map, ours + "mlp.",
          {.gate = inner + "gate_proj", .up = inner + "up_proj", .down = inner + "down_proj"});
    }
  }
  map.below("norm.", "model.final_layernorm.");
  map.whole("decoder.weight", "lm_head.weight");
}

}  // namespace

/// Mamba and attention without positions, each followed by experts or an MLP: Lieber et al. 2024,
/// arXiv:2403.19887.
constinit const PublishedFamily kJambaFamily = {"jamba", "JambaForCausalLM", read, write, place};

}  // namespace longwave::models
