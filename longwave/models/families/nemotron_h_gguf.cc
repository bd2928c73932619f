// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/gguf_hybrid.h"
#include "longwave/models/families/gguf_keys.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/pattern.h"

/// llama.cpp's "nemotron_h" and, where parts are experts, "nemotron_h_moe".
namespace longwave::models {
namespace {

constexpr const char* kArchitecture = "nemotron_h";
constexpr const char* kWithExperts = "nemotron_h_moe";
constexpr const char* kHidden = "feed_forward_length";
constexpr const char* kExpertHidden = "expert_feed_forward_length";
constexpr const char* kSharedHidden = "expert_shared_feed_forward_length";
constexpr const char* kRenormalise = "expert_weights_norm";
constexpr const char* kScale = "expert_weights_scale";

/// llama.cpp does not limit step sizes; transformers does, so this is kept beside its keys, with
/// what transformers takes where nothing is said.
constexpr const char* kLeastStep = "longwave.time_step_min";
constexpr double kUsualLeastStep = 1e-3;

/// Hidden channels of MLPs in a model that has none.
constexpr const char* kOtherHidden = "longwave.intermediate_size";

/// A layer with heads attends, one with hidden channels is an MLP or experts, others are Mamba-2.
std::vector<std::string> read_layers(PublishedReader& reader, bool chooses) {
  const int64_t count = read_gguf_layer_count(reader);
  const std::vector<int64_t> heads = read_gguf_counts(reader, "attention.head_count_kv", count);
  const std::vector<int64_t> hidden = read_gguf_counts(reader, kHidden, count);
  std::vector<std::string> layers;
  for (size_t i = 0; i < heads.size(); ++i) {
    if (heads[i] > 0 && hidden[i] > 0) {
      reader.refuse(std::string(kHidden) + "." + std::to_string(i),
                    "a layer that attends has no MLP");
    }
    const char* feed_forward = chooses ? "moe" : "mlp";
    layers.emplace_back(heads[i] > 0 ? "attention" : hidden[i] > 0 ? feed_forward : "mamba2");
  }
  return layers;
}

void read_hidden(PublishedReader& reader, Options& options) {
  int64_t all = 0;
  for (const int64_t hidden : read_gguf_counts(reader, kHidden, read_gguf_layer_count(reader))) {
    if (hidden > 0 && all > 0 && hidden != all) {
      reader.refuse(kHidden, "layers of different sizes are not supported");
    }
    if (hidden > 0) all = hidden;
  }
  const int64_t other = reader.integer(kOtherHidden, all);
  if (other > 0) options.set("model.hidden", other, kGgufName);
  options.set("model.mlp_bias", false, kGgufName);
}

void read_experts(PublishedReader& reader, Options& options) {
  reader.must_be("expert_group_count", int64_t{1});
  reader.must_be("expert_group_used_count", int64_t{1});
  reader.must_be("expert_shared_count", int64_t{1});
  reader.must_be("moe_latent_size", int64_t{0});
  reader.must_be("nextn_predict_layers", int64_t{0});
  constexpr int64_t kSigmoid = 2;
  reader.must_be("expert_gating_func", kSigmoid);
  if (!options.has("moe.experts")) return;
  options.set("moe.router", std::string("sigmoid"), kGgufName);
  options.set("moe.experts", reader.integer("expert_count"), kGgufName);
  options.set("moe.chosen", reader.integer("expert_used_count"), kGgufName);
  options.set("moe.hidden", reader.integer(kExpertHidden), kGgufName);
  options.set("moe.shared", reader.integer(kSharedHidden), kGgufName);
  options.set("moe.renormalise", reader.flag(kRenormalise, false), kGgufName);
  options.set("moe.scale", reader.real(kScale, 1), kGgufName);
}

Options read(PublishedReader& reader) {
  const bool chooses = reader.integer("expert_count", int64_t{0}) > 0;
  Options options = hybrid_options(read_layers(reader, chooses), "none");
  if (!options.has("mamba2.state")) {
    reader.refuse("attention.head_count_kv", "no layer is Mamba-2");
  }
  read_gguf_width(reader, options);
  const double epsilon = options.real("model.norm_epsilon");
  options.set("model.norm_epsilon", reader.real("attention.layer_norm_epsilon", epsilon),
              kGgufName);
  options.set("model.mlp_kind", std::string("relu2"), kGgufName);
  read_hidden(reader, options);
  read_gguf_mamba2(reader, InnerSize::kMultiple, options);
  options.set("mamba2.dt_least", reader.real(kLeastStep, kUsualLeastStep), kGgufName);
  options.set("mamba2.dt_min", options.at("mamba2.dt_least"), kGgufName);
  read_gguf_attention(reader, options);
  if (options.has("attention.rotary_base")) options.set("attention.rotary_base", 0.0, kGgufName);
  read_experts(reader, options);
  reader.pass_over({"rope.scaling.finetuned", "expert_used_count", kExpertHidden, kSharedHidden,
                    kRenormalise, kScale});
  pass_over_gguf(reader);
  return options;
}

void write_experts(const Options& options, PublishedConfig& config) {
  config["general.architecture"] = std::string(kWithExperts);
  config["expert_count"] = options.at("moe.experts");
  config["expert_used_count"] = options.at("moe.chosen");
  config["expert_shared_count"] = int64_t{1};
  config["expert_group_count"] = int64_t{1};
  config[kExpertHidden] = options.at("moe.hidden");
  config[kSharedHidden] = options.at("moe.shared");
  config[kRenormalise] = options.at("moe.renormalise");
  config[kScale] = options.at("moe.scale");
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  const bool chooses = options.has("moe.experts");
  const auto is_mlp = [](const Pattern::Layer& layer) { return layer.after == AfterMixer::kMlp; };
  const bool both = chooses && std::ranges::any_of(layers, is_mlp);
  if (both || !options.has("mamba2.state")) {
    throw ConfigError({.where = "model.pattern",
                       .what = "the gguf form of nemotron_h cannot say this",
                       .got = {},
                       .fix = both ? "it needs experts in all layers without a mixer, or in none"
                                   : "it needs a layer of mamba2"});
  }
  PublishedConfig config = write_gguf_width(options);
  config["attention.layer_norm_epsilon"] = options.at("model.norm_epsilon");
  config["rope.scaling.finetuned"] = false;
  config.erase(kHidden);
  const Value& hidden = options.at(chooses ? "moe.hidden" : "model.hidden");
  if (chooses || std::ranges::none_of(layers, is_mlp)) {
    config[kOtherHidden] = options.at("model.hidden");
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool has = layers[i].after != AfterMixer::kNone;
    config[kHidden + ("." + std::to_string(i))] = has ? hidden : Value(int64_t{0});
  }
  write_gguf_mamba2(options, config);
  write_gguf_expand(options, config);
  config[kLeastStep] = options.at("mamba2.dt_least");
  write_gguf_attention(options, layers, config);
  if (chooses) write_experts(options, config);
  return config;
}

/// Experts without gates, of which one sees every step.
void place_experts(TensorMap& map, const std::string& ours, const std::string& theirs,
                   int64_t layer) {
  map.whole(ours + "router.weight", theirs + "ffn_gate_inp.weight");
  map.whole(ours + "router.bias", theirs + "exp_probs_b.bias");
  map.whole(ours + "up.weight", theirs + "ffn_up_exps.weight");
  map.whole(ours + "down.weight", theirs + "ffn_down_exps.weight");
  place_gguf_shared_expert(map, layer);
}

void place(TensorMap& map) {
  const Options& options = map.config().options;
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string n = std::to_string(i), ours = "layers." + n + ".", theirs = "blk." + n + ".";
    const auto layer = static_cast<int64_t>(i);
    map.whole(ours + "norm.weight", theirs + "attn_norm.weight");
    map.whole(ours + "mlp_norm.weight", theirs + "attn_norm.weight");
    if (layers[i].family == "attention") {
      // Without positions any order will do; this is the converter's.
      place_gguf_attention(map, ours + "mixer.", layer, options.integer("attention.head_dim"));
    } else if (layers[i].family == "mamba2") {
      place_gguf_mamba2(map, layer);
    } else if (layers[i].after == AfterMixer::kMoe) {
      place_experts(map, ours + "moe.", theirs, layer);
    } else {
      map.whole(ours + "mlp.up.weight", theirs + "ffn_up.weight");
      map.whole(ours + "mlp.down.weight", theirs + "ffn_down.weight");
    }
  }
  place_gguf_ends(map);
}

}  // namespace

constinit const GgufForm kNemotronHGguf = {kArchitecture, read,    write,
                                           place,         nullptr, kWithExperts};

}  // namespace longwave::models
