// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/hybrid_keys.h"

#include <algorithm>

#include "longwave/mixers/attention/attention.h"
#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/models/families/transformers_keys.h"

namespace longwave::models {
namespace {

constexpr int64_t kMostPositions = 1 << 30;

/// Positions that a state has memory for unless it is asked for more or fewer.
constexpr int64_t kUsualContext = 4096;

/// "mamba2*2 attention mamba2" of a list.
std::string pattern_of(const std::vector<std::string>& layers) {
  std::string pattern;
  for (size_t i = 0; i < layers.size();) {
    size_t end = i;
    while (end < layers.size() && layers[end] == layers[i]) ++end;
    pattern += (pattern.empty() ? "" : " ") + layers[i];
    if (end - i > 1) pattern += "*" + std::to_string(end - i);
    i = end;
  }
  return pattern;
}

mixers::attention::Shapes attention_shapes(const Options& options) {
  return {options.section("attention"), options.integer("model.d_model")};
}

}  // namespace

Options hybrid_options(const std::vector<std::string>& layers, const std::string& rule) {
  Options options(config_schema(pattern_of(layers) + " | " + rule));
  options.set("model.norm", std::string("rms"), kConfigName);
  options.set("model.activation", std::string("none"), kConfigName);
  options.set("model.mixing", std::string("none"), kConfigName);
  options.set("model.mlp_kind", std::string("swiglu"), kConfigName);
  options.set("model.head_bias", false, kConfigName);
  return options;
}

int64_t read_layer_count(PublishedReader& reader, int64_t otherwise) {
  const int64_t layers = reader.integer("num_hidden_layers", otherwise);
  if (layers < 1 || layers > kMostHybridLayers)
    reader.refuse("num_hidden_layers", "is out of range");
  return layers;
}

void read_norm_epsilon(PublishedReader& reader, double otherwise, Options& options) {
  const double epsilon = reader.real("rms_norm_eps", otherwise);
  options.set("model.norm_epsilon", epsilon, kConfigName);
  if (options.has("mamba2.norm_epsilon")) {
    options.set("mamba2.norm_epsilon", epsilon, kConfigName);
  }
}

void read_mamba2_keys(PublishedReader& reader, int64_t inner, Options& options) {
  reader.pass_over({"mamba_chunk_size"});
  const int64_t expand = reader.integer("mamba_expand", int64_t{2});
  const int64_t heads = reader.integer("mamba_n_heads", int64_t{128});
  const int64_t groups = reader.integer("mamba_n_groups", int64_t{1});
  const int64_t state = reader.integer("mamba_d_state", int64_t{256});
  const int64_t width = reader.integer("mamba_d_conv", int64_t{4});
  const bool conv_bias = reader.flag("mamba_conv_bias", true);
  const bool bias = reader.flag("mamba_proj_bias", false);
  const double least = reader.real("time_step_limit.0", 0);
  const double most = std::min(kNoStepLimit, reader.real("time_step_limit.1", kNoStepLimit));
  const int64_t scanned = inner > 0 ? inner : expand * options.integer("model.d_model");
  if (heads < 1 || scanned % heads != 0) {
    reader.refuse("mamba_n_heads", "must divide the channels of the scan");
  }
  if (!reader.says("mamba_d_head", std::string("auto"))) {
    reader.must_be("mamba_d_head", scanned / heads);
  }
  if (!options.has("mamba2.state")) return;
  options.set("mamba2.expand", expand, kConfigName);
  options.set("mamba2.inner", inner, kConfigName);
  options.set("mamba2.head_dim", scanned / heads, kConfigName);
  options.set("mamba2.groups", groups, kConfigName);
  options.set("mamba2.state", state, kConfigName);
  options.set("mamba2.width", width, kConfigName);
  options.set("mamba2.conv_bias", conv_bias, kConfigName);
  options.set("mamba2.bias", bias, kConfigName);
  options.set("mamba2.dt_least", least, kConfigName);
  options.set("mamba2.dt_most", most, kConfigName);
}

void write_mamba2_keys(const Options& options, PublishedConfig& config) {
  const mixers::mamba2::Settings settings(options.section("mamba2"),
                                          options.integer("model.d_model"));
  config["mamba_expand"] = options.at("mamba2.expand");
  config["mamba_n_heads"] = settings.heads;
  config["mamba_d_head"] = settings.head_dim;
  config["mamba_n_groups"] = settings.groups;
  config["mamba_d_state"] = settings.state;
  config["mamba_d_conv"] = settings.width;
  config["mamba_conv_bias"] = settings.conv_bias;
  config["mamba_proj_bias"] = settings.bias;
  if (settings.dt_least > 0 || settings.dt_most < kNoStepLimit) {
    config["time_step_limit.0"] = settings.dt_least;
    config["time_step_limit.1"] = settings.dt_most;
  }
}

double divisor_of(double multiplier) {
  const auto few = static_cast<double>(static_cast<float>(1 / multiplier));
  return 1 / few == multiplier ? few : 1 / multiplier;
}

void set_positions(int64_t positions, Options& options) {
  options.set("attention.positions", positions, kConfigName);
  options.set("attention.window", std::min(kUsualContext, positions), kConfigName);
}

void read_attention_keys(PublishedReader& reader, const AttentionDefaults& defaults,
                         Options& options) {
  reader.pass_over({"attention_dropout"});
  const int64_t positions = reader.integer("max_position_embeddings", kMostPositions);
  const int64_t channels = options.integer("model.d_model");
  const int64_t heads = reader.integer("num_attention_heads", defaults.heads);
  const int64_t kv_heads =
      reader.integer("num_key_value_heads", defaults.kv_heads == 0 ? heads : defaults.kv_heads);
  const bool bias = reader.flag("attention_bias", false);
  if (heads < 1) reader.refuse("num_attention_heads", "is out of range");
  const int64_t head_dim = reader.integer("head_dim", channels / heads);
  if (head_dim < 1) reader.refuse("head_dim", "is out of range");
  if (!options.has("attention.heads")) return;
  options.set("attention.heads", heads, kConfigName);
  options.set("attention.kv_heads", kv_heads, kConfigName);
  options.set("attention.head_dim", head_dim, kConfigName);
  set_positions(positions, options);
  options.set("attention.bias", bias, kConfigName);
}

void write_attention_keys(const Options& options, PublishedConfig& config) {
  const mixers::attention::Shapes shapes = attention_shapes(options);
  config["num_attention_heads"] = shapes.heads;
  config["num_key_value_heads"] = shapes.kv_heads;
  config["attention_bias"] = shapes.bias;
  config["max_position_embeddings"] = options.at("attention.positions");
  if (shapes.head_dim != shapes.channels / shapes.heads) config["head_dim"] = shapes.head_dim;
}

void read_rotary_keys(PublishedReader& reader, Options& options) {
  reader.must_be("rope_scaling.rope_type", std::string("default"));
  reader.must_be("rope_scaling.type", std::string("default"));
  reader.must_be("rope_parameters.rope_type", std::string("default"));
  const double alone = reader.real("rope_theta", 10000);
  const double base = reader.real("rope_parameters.rope_theta", alone);
  if (options.has("attention.rotary_base")) {
    options.set("attention.rotary_base", base, kConfigName);
  }
}

void write_rotary_keys(const Options& options, PublishedConfig& config) {
  config["rope_parameters.rope_type"] = std::string("default");
  config["rope_parameters.rope_theta"] = options.at("attention.rotary_base");
  // Where versions of transformers before 5 look.
  config["rope_theta"] = options.at("attention.rotary_base");
}

void place_attention(TensorMap& map, const std::string& ours, const std::string& theirs) {
  const mixers::attention::Shapes shapes = attention_shapes(map.config().options);
  const int64_t queries = shapes.heads * shapes.head_dim;
  const int64_t keys = shapes.kv_heads * shapes.head_dim;
  for (const std::string kind : {"weight", "bias"}) {
    map.stack(ours + "in_proj." + kind, {{theirs + "q_proj." + kind, queries},
                                         {theirs + "k_proj." + kind, keys},
                                         {theirs + "v_proj." + kind, keys}});
    map.whole(ours + "out_proj." + kind, theirs + "o_proj." + kind);
  }
}

void place_gate_first(TensorMap& map, const std::string& ours, const std::string& theirs) {
  if (!map.has(ours)) return;
  const int64_t hidden = map.shape(ours).front() / 2;
  for (const int64_t half : {0, 1}) {
    map.place({.ours = ours,
               .our_shape = {},
               .our_row = half * hidden,
               .theirs = theirs,
               .their_shape = map.shape(ours),
               .their_row = (1 - half) * hidden,
               .rows = hidden});
  }
}

void place_gated_mlp(TensorMap& map, const std::string& ours, const GatedMlpNames& theirs) {
  for (const std::string kind : {"weight", "bias"}) {
    const std::string up = ours + "up." + kind;
    map.whole(ours + "down." + kind, theirs.down + "." + kind);
    if (!map.has(up)) continue;
    const int64_t hidden = map.shape(up).front() / 2;
    if (theirs.gate != theirs.up) {
      map.stack(up, {{theirs.up + "." + kind, hidden}, {theirs.gate + "." + kind, hidden}});
      continue;
    }
    place_gate_first(map, up, theirs.up + "." + kind);
  }
}

void place_mixer(TensorMap& map, const Pattern::Layer& layer, const std::string& ours,
                 const std::string& theirs) {
  if (layer.family == "attention") {
    place_attention(map, ours + "mixer.", theirs + "self_attn.");
  } else {
    map.below(ours + "mixer.", theirs + "mamba.");
  }
}

void place_feed_forward(TensorMap& map, const Pattern::Layer&, const std::string& ours,
                        const std::string& theirs) {
  const std::string mlp = theirs + "feed_forward.";
  place_gated_mlp(map, ours + "mlp.",
                  {.gate = mlp + "gate_proj", .up = mlp + "up_proj", .down = mlp + "down_proj"});
}

void place_hybrid(TensorMap& map, const HybridNames& names) {
  const std::vector<Pattern::Layer> layers =
      parse_pattern(map.config().options.text("model.pattern")).layers;
  map.whole("encoder.weight", "model.embed_tokens.weight");
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string ours = "layers." + std::to_string(i) + ".", theirs = "model." + ours;
    map.below(ours + "norm.", theirs + "input_layernorm.");
    names.mixer(map, layers[i], ours, theirs);
    map.below(ours + "mlp_norm.", theirs + std::string(names.mlp_norm) + ".");
    names.feed_forward(map, layers[i], ours, theirs);
  }
  map.below("norm.", "model." + std::string(names.norm) + ".");
  map.whole("decoder.weight", "lm_head.weight");
}

}  // namespace longwave::models
