// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

std::vector<std::string> read_layers(PublishedReader& reader) {
  std::vector<std::string> layers(static_cast<size_t>(read_layer_count(reader, 32)), "mamba2");
  const std::string list = reader.has("layers_block_type.0") ? "layers_block_type" : "layer_types";
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string key = list + "." + std::to_string(i);
    const std::string type = reader.text(key, i == 0 ? "mamba" : "");
    if (!reader.has(key) && i == 0) break;
    const bool attention = type == "attention" || type == "full_attention";
    if (attention) layers[i] = "attention";
    if (!attention && type != "mamba" && type != "linear_attention") {
      reader.refuse(key, "is no type of a layer", "mamba and attention are");
    }
  }
  return layers;
}

void read_multipliers(PublishedReader& reader, Options& options) {
  for (const char* name : {"embedding_multiplier", "residual_multiplier"}) {
    options.set(std::string("model.") + name, reader.real(name, 1), kConfigName);
  }
  const double divisor = reader.real("logits_scaling", 1);
  if (divisor == 0) reader.refuse("logits_scaling", "must not be 0");
  options.set("model.logits_multiplier", 1 / divisor, kConfigName);
  const double scale = reader.real("attention_multiplier", 1);
  if (!(scale > 0)) reader.refuse("attention_multiplier", "must be positive");
  if (options.has("attention.scale")) options.set("attention.scale", scale, kConfigName);
}

/// Without experts the expert that sees every step is an MLP like any other.
void read_experts(PublishedReader& reader, int64_t experts, Options& options) {
  const int64_t shared = reader.integer("shared_intermediate_size", int64_t{1024});
  const int64_t hidden = reader.integer("intermediate_size", int64_t{11008});
  const int64_t chosen = reader.integer("num_experts_per_tok", int64_t{2});
  if (experts < 0) reader.refuse("num_local_experts", "is out of range");
  options.set("model.mlp_bias", false, kConfigName);
  options.set("model.hidden", experts > 0 ? hidden : shared, kConfigName);
  if (experts == 0) return;
  options.set("moe.experts", experts, kConfigName);
  options.set("moe.chosen", chosen, kConfigName);
  options.set("moe.shared", shared, kConfigName);
}

Options read(PublishedReader& reader) {
  const int64_t experts = reader.integer("num_local_experts", int64_t{8});
  Options options = hybrid_options(read_layers(reader), experts > 0 ? "moe" : "mlp");
  options.set("model.d_model", reader.integer("hidden_size", int64_t{4096}), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", false), kConfigName);
  require_silu(reader, "hidden_act");
  reader.must_be("normalization_function", std::string("rmsnorm"));
  read_experts(reader, experts, options);
  read_norm_epsilon(reader, 1e-6, options);
  read_mamba2_keys(reader, 0, options);
  read_attention_keys(reader, {.heads = 32, .kv_heads = 0}, options);
  read_multipliers(reader, options);
  const std::string positions = reader.text("position_embedding_type", "nope");
  if (positions == "rope") {
    read_rotary_keys(reader, options);
  } else if (positions != "nope") {
    reader.refuse("position_embedding_type", "this is not supported", "rope and nope are");
  } else if (options.has("attention.rotary_base")) {
    options.set("attention.rotary_base", 0.0, kConfigName);
  }
  reader.pass_over({"init_method", "output_router_logits", "router_aux_loss_coef", "rope_theta",
                    "rope_scaling", "rope_parameters"});
  return options;
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  const bool experts = layers.front().after == AfterMixer::kMoe;
  PublishedConfig config = {
      {"hidden_size", options.at("model.d_model")},
      {"num_hidden_layers", static_cast<int64_t>(layers.size())},
      {"intermediate_size", options.at("model.hidden")},
      {"shared_intermediate_size", options.at(experts ? "moe.shared" : "model.hidden")},
      {"num_local_experts", experts ? options.at("moe.experts") : Value(int64_t{0})},
      {"num_experts_per_tok", experts ? options.at("moe.chosen") : Value(int64_t{0})},
      {"hidden_act", std::string("silu")},
      {"rms_norm_eps", options.at("model.norm_epsilon")},
      {"embedding_multiplier", options.at("model.embedding_multiplier")},
      {"residual_multiplier", options.at("model.residual_multiplier")},
      {"logits_scaling", divisor_of(options.real("model.logits_multiplier"))}};
  for (size_t i = 0; i < layers.size(); ++i) {
    config["layer_types." + std::to_string(i)] =
        std::string(layers[i].family == "attention" ? "attention" : "mamba");
  }
  if (options.has("mamba2.state")) write_mamba2_keys(options, config);
  if (!options.has("attention.scale")) return config;
  write_attention_keys(options, config);
  config["attention_multiplier"] = options.at("attention.scale");
  const bool turns = options.real("attention.rotary_base") != 0;
  config["position_embedding_type"] = std::string(turns ? "rope" : "nope");
  if (turns) write_rotary_keys(options, config);
  return config;
}

/// The experts' gates come first in a file; files of one name have two spellings.
void place_experts(TensorMap& map, const std::string& ours, const std::string& theirs) {
  const auto spelled = [&](const char* usual, const char* other) {
    return map.in_file(theirs + other) ? theirs + other : theirs + usual;
  };
  map.whole(ours + "router.weight", spelled("router.layer.weight", "router.weight"));
  map.whole(ours + "down.weight", spelled("output_linear.weight", "experts.down_proj"));
  const std::string up = ours + "up.weight";
  const std::string name = spelled("input_linear.weight", "experts.gate_up_proj");
  const Shape& shape = map.shape(up);  // (experts, 2 hidden, channels)
  const int64_t hidden = shape[1] / 2;
  for (int64_t half = 0; half < 2 * shape[0]; ++half) {
    map.place({.ours = up,
               .our_shape = {},
               .our_row = half * hidden,
               .theirs = name,
               .their_shape = shape,
               .their_row = (half ^ 1) * hidden,
               .rows = hidden});
  }
}

void place_after(TensorMap& map, const Pattern::Layer& layer, const std::string& ours,
                 const std::string& theirs) {
  const bool experts = layer.after == AfterMixer::kMoe;
  if (experts) place_experts(map, ours + "moe.", theirs + "block_sparse_moe.");
  const std::string shared = theirs + "shared_mlp.", both = shared + "input_linear";
  place_gated_mlp(map, ours + (experts ? "moe.shared." : "mlp."),
                  {.gate = both, .up = both, .down = shared + "output_linear"});
}

void place(TensorMap& map) {
  place_hybrid(
      map, {.mlp_norm = "post_attention_layernorm", .norm = "norm", .feed_forward = place_after});
}

}  // namespace

/// Granite 4 (IBM 2025): Mamba-2 and attention, each followed by experts of which one sees every
/// step, or by an MLP; fixed multipliers of embedding, branches, scores and logits.
constinit const PublishedFamily kGraniteMoeHybridFamily = {
    "granitemoehybrid", "GraniteMoeHybridForCausalLM", read, write, place, &kGraniteHybridGguf};

}  // namespace longwave::models
