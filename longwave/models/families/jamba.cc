// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
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

void place_after(TensorMap& map, const Pattern::Layer& layer, const std::string& ours,
                 const std::string& theirs) {
  if (layer.after == AfterMixer::kMoe) {
    place_experts(map, ours + "moe.", theirs + "feed_forward.");
  } else {
    place_feed_forward(map, layer, ours, theirs);
  }
}

void place(TensorMap& map) {
  place_hybrid(
      map,
      {.mlp_norm = "pre_ff_layernorm", .norm = "final_layernorm", .feed_forward = place_after});
}

/// Which layers attend is told by their heads of keys, which have experts by their tensors.
Options gguf_options(PublishedReader& reader) {
  const int64_t count = read_gguf_layer_count(reader);
  const std::vector<int64_t> heads = read_gguf_counts(reader, "attention.head_count_kv", count);
  std::vector<std::string> layers;
  std::vector<bool> chooses;
  for (size_t i = 0; i < heads.size(); ++i) {
    layers.emplace_back(heads[i] > 0 ? "attention" : "mamba");
    chooses.push_back(reader.flag("has_experts." + std::to_string(i), false));
  }
  if (std::ranges::find(chooses, true) == chooses.end()) return hybrid_options(layers, "mlp");
  const Every experts = find_every(chooses, "experts");
  return hybrid_options(layers, "moe every " + std::to_string(experts.period) + " offset " +
                                    std::to_string(experts.first) + ", mlp");
}

Options read_gguf(PublishedReader& reader) {
  Options options = gguf_options(reader);
  read_gguf_width(reader, options);
  options.set("model.hidden", reader.integer("feed_forward_length"), kGgufName);
  options.set("model.mlp_bias", false, kGgufName);
  if (options.has("moe.experts")) {
    options.set("moe.experts", reader.integer("expert_count"), kGgufName);
    options.set("moe.chosen", reader.integer("expert_used_count"), kGgufName);
    options.set("moe.renormalise", false, kGgufName);
  }
  read_gguf_attention(reader, options);
  if (options.has("attention.rotary_base")) options.set("attention.rotary_base", 0.0, kGgufName);
  if (!options.has("mamba.state")) reader.refuse("attention.head_count_kv.0", "no layer is Mamba");
  read_gguf_mamba(reader, options);
  options.set("mamba.selection_norm", std::string("learned"), kGgufName);
  options.set("mamba.selection_epsilon", options.at("model.norm_epsilon"), kGgufName);
  reader.pass_over({"expert_count", "expert_used_count"});
  pass_over_gguf(reader);
  return options;
}

PublishedConfig write_gguf(const Options& options) {
  if (!options.has("mamba.state")) {
    throw ConfigError({.where = "model.pattern",
                       .what = "the gguf form of jamba cannot say this",
                       .got = {},
                       .fix = "it needs a layer of mamba"});
  }
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  const bool chooses = options.has("moe.experts");
  PublishedConfig config = write_gguf_width(options);
  write_gguf_mamba(options, config);
  config["feed_forward_length"] = options.at("model.hidden");
  config["expert_count"] = chooses ? options.at("moe.experts") : Value(int64_t{0});
  config["expert_used_count"] = chooses ? options.at("moe.chosen") : Value(int64_t{0});
  write_gguf_attention(options, layers, config);
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].after == AfterMixer::kMoe) config["has_experts." + std::to_string(i)] = true;
  }
  return config;
}

void place_gguf(TensorMap& map) {
  const std::vector<Pattern::Layer> layers =
      parse_pattern(map.config().options.text("model.pattern")).layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string n = std::to_string(i), ours = "layers." + n + ".", theirs = "blk." + n + ".";
    const auto layer = static_cast<int64_t>(i);
    map.whole(ours + "norm.weight", theirs + "attn_norm.weight");
    layers[i].family == "attention" ? place_gguf_attention(map, ours + "mixer.", layer)
                                    : place_gguf_mamba(map, layer);
    map.whole(ours + "mlp_norm.weight", theirs + "ffn_norm.weight");
    layers[i].after == AfterMixer::kMoe ? place_gguf_experts(map, layer)
                                        : place_gguf_mlp(map, layer);
  }
  place_gguf_ends(map);
}

constexpr GgufForm kGguf = {"jamba", read_gguf, write_gguf, place_gguf};

}  // namespace

/// Mamba and attention without positions, each followed by experts or an MLP: Lieber et al. 2024,
/// arXiv:2403.19887.
constinit const PublishedFamily kJambaFamily = {"jamba", "JambaForCausalLM", read, write, place,
                                                &kGguf};

}  // namespace longwave::models
