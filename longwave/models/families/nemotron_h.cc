// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

/// How one kind of layer is called: by us, by transformers, by its older versions, in
/// hybrid_override_pattern.
struct LayerName {
  const char* ours;
  const char* theirs;
  const char* older;
  char letter;
};
constexpr LayerName kLayerNames[] = {{"mamba2", "linear_attention", "mamba", 'M'},
                                     {"attention", "full_attention", "attention", '*'},
                                     {"mlp", "mlp", "mlp", '-'},
                                     {"moe", "moe", "moe", 'E'}};

std::vector<std::string> layers_by_letters(PublishedReader& reader) {
  const std::string key = "hybrid_override_pattern";
  std::vector<std::string> layers;
  for (const char letter : reader.text(key, "")) {
    const auto found = std::ranges::find(kLayerNames, letter, &LayerName::letter);
    if (found == std::end(kLayerNames)) reader.refuse(key, "consists of M, *, - and E");
    layers.emplace_back(found->ours);
  }
  return layers;
}

std::vector<std::string> read_layers(PublishedReader& reader) {
  std::vector<std::string> layers;
  for (const std::string list : {"layers_block_type.", "layer_types."}) {
    while (layers.size() < kMostHybridLayers && reader.has(list + std::to_string(layers.size()))) {
      const std::string key = list + std::to_string(layers.size());
      const std::string name = reader.text(key, "");
      const auto found = std::ranges::find_if(kLayerNames, [&](const LayerName& layer) {
        return name == layer.theirs || name == layer.older;
      });
      if (found == std::end(kLayerNames)) reader.refuse(key, "is no kind of layer");
      layers.emplace_back(found->ours);
    }
    if (!layers.empty()) break;
  }
  const std::vector<std::string> by_letters = layers_by_letters(reader);
  if (layers.empty()) layers = by_letters;
  if (layers.empty()) reader.refuse("layers_block_type", "is missing");
  // Versions before 5 say it beside the list; it is not what counts.
  reader.pass_over({"num_hidden_layers"});
  return layers;
}

void read_mamba2(PublishedReader& reader, double epsilon, Options& options) {
  const int64_t heads = reader.integer("mamba_num_heads", int64_t{128});
  const int64_t head_dim = reader.integer("mamba_head_dim", int64_t{64});
  constexpr int64_t kMost = 1 << 20;
  if (heads < 1 || head_dim < 1 || heads > kMost || head_dim > kMost) {
    reader.refuse("mamba_num_heads", "or mamba_head_dim is out of range");
  }
  const int64_t expand = reader.integer("expand", int64_t{2});
  options.set("mamba2.expand", expand, kConfigName);
  if (heads * head_dim != expand * options.integer("model.d_model")) {
    options.set("mamba2.inner", heads * head_dim, kConfigName);
  }
  options.set("mamba2.head_dim", head_dim, kConfigName);
  options.set("mamba2.groups", reader.integer("n_groups", int64_t{8}), kConfigName);
  options.set("mamba2.state", reader.integer("ssm_state_size", int64_t{128}), kConfigName);
  options.set("mamba2.width", reader.integer("conv_kernel", int64_t{4}), kConfigName);
  options.set("mamba2.conv_bias", reader.flag("use_conv_bias", true), kConfigName);
  options.set("mamba2.bias", reader.flag("use_bias", false), kConfigName);
  options.set("mamba2.norm_epsilon", epsilon, kConfigName);
  // transformers takes the least initial step size as the limit, too.
  const double least = reader.real("time_step_min", 1e-3);
  options.set("mamba2.dt_min", least, kConfigName);
  options.set("mamba2.dt_least", least, kConfigName);
  options.set("mamba2.dt_max", reader.real("time_step_max", 0.1), kConfigName);
  options.set("mamba2.dt_floor", reader.real("time_step_floor", 1e-4), kConfigName);
}

void read_experts(PublishedReader& reader, Options& options) {
  reader.must_be("n_group", int64_t{1});
  reader.must_be("topk_group", int64_t{1});
  if (reader.has("moe_latent_size")) reader.refuse("moe_latent_size", "this is not supported");
  if (options.flag("model.mlp_bias"))
    reader.refuse("mlp_bias", "experts with biases are not supported");
  options.set("moe.router", std::string("sigmoid"), kConfigName);
  options.set("moe.experts", reader.integer("n_routed_experts", int64_t{8}), kConfigName);
  options.set("moe.chosen", reader.integer("num_experts_per_tok", int64_t{2}), kConfigName);
  options.set("moe.hidden", reader.integer("moe_intermediate_size", int64_t{7688}), kConfigName);
  options.set("moe.shared", reader.integer("moe_shared_expert_intermediate_size", int64_t{7688}),
              kConfigName);
  options.set("moe.renormalise", reader.flag("norm_topk_prob", true), kConfigName);
  options.set("moe.scale", reader.real("routed_scaling_factor", 1), kConfigName);
}

/// What does not change the answers, or belongs to kinds of layers that the model has not.
void pass_over_others(PublishedReader& reader) {
  reader.pass_over({"auto_map",
                    "hidden_dropout",
                    "mamba_proj_bias",
                    "mamba_ssm_cache_dtype",
                    "moe_shared_expert_overlap",
                    "mtp_layers_block_type",
                    "mtp_hybrid_override_pattern",
                    "n_shared_experts",
                    "num_logits_to_keep",
                    "output_router_logits",
                    "time_step_limit",
                    "use_mamba_kernels",
                    "n_group",
                    "topk_group",
                    "moe_latent_size",
                    "n_routed_experts",
                    "num_experts_per_tok",
                    "moe_intermediate_size",
                    "moe_shared_expert_intermediate_size",
                    "norm_topk_prob",
                    "routed_scaling_factor",
                    "mamba_num_heads",
                    "mamba_head_dim",
                    "expand",
                    "n_groups",
                    "ssm_state_size",
                    "conv_kernel",
                    "use_conv_bias",
                    "use_bias",
                    "time_step_min",
                    "time_step_max",
                    "time_step_floor"});
}

Options read(PublishedReader& reader) {
  Options options = hybrid_options(read_layers(reader), "none");
  const double epsilon = reader.real("layer_norm_epsilon", 1e-5);
  options.set("model.d_model", reader.integer("hidden_size", int64_t{4096}), kConfigName);
  options.set("model.hidden", reader.integer("intermediate_size", int64_t{21504}), kConfigName);
  options.set("model.mlp_kind", std::string("relu2"), kConfigName);
  options.set("model.mlp_bias", reader.flag("mlp_bias", false), kConfigName);
  options.set("model.norm_epsilon", epsilon, kConfigName);
  // transformers never ties them, whatever the key says.
  reader.pass_over({"tie_word_embeddings"});
  reader.must_be("mlp_hidden_act", std::string("relu2"));
  reader.must_be("attention_bias", false);
  reader.must_be("num_nextn_predict_layers", int64_t{0});
  require_silu(reader, "mamba_hidden_act");
  if (reader.has("sliding_window")) reader.refuse("sliding_window", "this is not supported");
  if (options.has("mamba2.state")) read_mamba2(reader, epsilon, options);
  read_attention_keys(reader, {.heads = 32, .kv_heads = 8}, options);
  if (options.has("attention.rotary_base")) options.set("attention.rotary_base", 0.0, kConfigName);
  if (options.has("moe.experts")) read_experts(reader, options);
  pass_over_others(reader);
  return options;
}

void write_experts(const Options& options, PublishedConfig& config) {
  config["n_routed_experts"] = options.at("moe.experts");
  config["num_experts_per_tok"] = options.at("moe.chosen");
  config["moe_intermediate_size"] = options.at("moe.hidden");
  config["moe_shared_expert_intermediate_size"] = options.at("moe.shared");
  config["n_shared_experts"] = int64_t{1};
  config["norm_topk_prob"] = options.at("moe.renormalise");
  config["routed_scaling_factor"] = options.at("moe.scale");
}

void write_mamba2(const Options& options, PublishedConfig& config) {
  const mixers::mamba2::Settings settings(options.section("mamba2"),
                                          options.integer("model.d_model"));
  config["mamba_num_heads"] = settings.heads;
  config["mamba_head_dim"] = settings.head_dim;
  config["expand"] = options.at("mamba2.expand");
  config["n_groups"] = settings.groups;
  config["ssm_state_size"] = settings.state;
  config["conv_kernel"] = settings.width;
  config["use_conv_bias"] = settings.conv_bias;
  config["use_bias"] = settings.bias;
  config["time_step_min"] = options.at("mamba2.dt_least");
  config["time_step_max"] = options.at("mamba2.dt_max");
  config["time_step_floor"] = options.at("mamba2.dt_floor");
}

/// The kind of a layer in our words.
std::string kind_of(const Pattern::Layer& layer) {
  if (!layer.family.empty()) return layer.family;
  return layer.after == AfterMixer::kMoe ? "moe" : "mlp";
}

PublishedConfig write(const Options& options) {
  PublishedConfig config = {{"hidden_size", options.at("model.d_model")},
                            {"intermediate_size", options.at("model.hidden")},
                            {"layer_norm_epsilon", options.at("model.norm_epsilon")},
                            {"mlp_hidden_act", std::string("relu2")},
                            {"mlp_bias", options.at("model.mlp_bias")}};
  int64_t index = 0;
  for (const Pattern::Layer& layer : parse_pattern(options.text("model.pattern")).layers) {
    const auto found = std::ranges::find(kLayerNames, kind_of(layer), &LayerName::ours);
    config["layers_block_type." + std::to_string(index++)] =
        std::string(found == std::end(kLayerNames) ? "" : found->theirs);
  }
  if (options.has("mamba2.state")) write_mamba2(options, config);
  if (options.has("moe.experts")) write_experts(options, config);
  if (options.has("attention.heads")) {
    write_attention_keys(options, config);
    // Where there is none, transformers takes 128.
    config["head_dim"] = options.at("attention.head_dim");
  }
  return config;
}

/// Newer files have the experts of a layer in two tensors, older ones each in two of its own.
void place_experts(TensorMap& map, const std::string& ours, const std::string& theirs) {
  map.whole(ours + "router.weight", theirs + "gate.weight");
  map.whole(ours + "router.bias", theirs + "gate.e_score_correction_bias");
  map.below(ours + "shared.up.", theirs + "shared_experts.up_proj.");
  map.below(ours + "shared.down.", theirs + "shared_experts.down_proj.");
  for (const std::string part : {"up", "down"}) {
    const std::string name = ours + part + ".weight",
                      together = theirs + "experts." + part + "_proj";
    if (map.in_file(together)) {
      map.whole(name, together);
      continue;
    }
    const Shape& shape = map.shape(name);  // (experts, outputs, inputs)
    for (int64_t e = 0; e < shape[0]; ++e) {
      map.place({.ours = name,
                 .our_shape = {},
                 .our_row = e * shape[1],
                 .theirs = theirs + "experts." + std::to_string(e) + "." + part + "_proj.weight",
                 .their_shape = {shape[1], shape[2]},
                 .rows = shape[1]});
    }
  }
}

void place(TensorMap& map) {
  const std::vector<Pattern::Layer> layers =
      parse_pattern(map.config().options.text("model.pattern")).layers;
  const std::string top = map.in_file("model.embeddings.weight") ? "model." : "backbone.";
  map.whole("encoder.weight", top + "embeddings.weight");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string ours = "layers." + std::to_string(i) + ".", theirs = top + ours;
    const std::string kind = kind_of(layers[i]), inner = theirs + "mixer.";
    map.below(ours + "norm.", theirs + "norm.");
    map.below(ours + "mlp_norm.", theirs + "norm.");
    if (kind == "attention") {
      place_attention(map, ours + "mixer.", inner);
    } else if (kind == "moe") {
      place_experts(map, ours + "moe.", inner);
    } else if (kind == "mlp") {
      map.below(ours + "mlp.up.", inner + "up_proj.");
      map.below(ours + "mlp.down.", inner + "down_proj.");
    } else {
      map.below(ours + "mixer.", inner);
    }
  }
  map.below("norm.", top + "norm_f.");
  map.whole("decoder.weight", "lm_head.weight");
}

}  // namespace

/// Nemotron-H: each layer is Mamba-2, attention without positions, an MLP or experts; NVIDIA 2025,
/// arXiv:2504.03624.
constinit const PublishedFamily kNemotronHFamily = {
    "nemotron_h", "NemotronHForCausalLM", read, write, place, &kNemotronHGguf};

}  // namespace longwave::models
