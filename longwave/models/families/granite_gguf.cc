// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/gguf_hybrid.h"
#include "longwave/models/families/gguf_keys.h"
#include "longwave/models/families/hybrid_keys.h"
#include "longwave/models/pattern.h"

/// llama.cpp's "granitehybrid": Granite 4 and Bamba, of which only the latter turns half of a head.
namespace longwave::models {
namespace {

constexpr const char* kTurns = "rope.scaling.finetuned";
constexpr const char* kTurned = "rope.dimension_count";
constexpr const char* kLogitScale = "logit_scale";
constexpr const char* kAttentionScale = "attention.scale";
constexpr const char* kSharedHidden = "expert_shared_feed_forward_length";
constexpr double kHalfOfAHead = 0.5;

/// Multipliers under our names and theirs.
constexpr std::pair<const char*, const char*> kMultipliers[] = {
    {"model.embedding_multiplier", "embedding_scale"},
    {"model.residual_multiplier", "residual_scale"}};

std::vector<std::string> read_layers(PublishedReader& reader) {
  std::vector<std::string> layers;
  for (const int64_t heads :
       read_gguf_counts(reader, "attention.head_count_kv", read_gguf_layer_count(reader))) {
    layers.emplace_back(heads > 0 ? "attention" : "mamba2");
  }
  return layers;
}

/// Numbers of a head that the positions turn, 0 without positions.
int64_t turned(PublishedReader& reader, int64_t head_dim) {
  return reader.flag(kTurns, true) ? reader.integer(kTurned, head_dim) : 0;
}

bool is_half(int64_t dims, int64_t head_dim) {
  return dims > 0 && head_dim % 2 == 0 && dims == head_dim / 2;
}

void read_positions(PublishedReader& reader, Options& options) {
  read_gguf_attention(reader, options);
  const double scale = reader.real(kAttentionScale, 0);
  if (!options.has("attention.heads")) return;
  const int64_t head_dim = options.integer("attention.head_dim");
  const int64_t dims = turned(reader, head_dim);
  options.set("attention.scale", scale, kGgufName);
  if (dims == 0) options.set("attention.rotary_base", 0.0, kGgufName);
  if (is_half(dims, head_dim)) {
    options.set("attention.rotary_part", kHalfOfAHead, kGgufName);
  } else if (dims != 0 && dims != head_dim) {
    reader.refuse(kTurned, "this is not supported", "all of a head is, or half of it");
  }
}

void read_experts(PublishedReader& reader, Options& options) {
  if (!options.has("moe.experts")) return;
  options.set("moe.experts", reader.integer("expert_count"), kGgufName);
  options.set("moe.chosen", reader.integer("expert_used_count"), kGgufName);
  options.set("moe.shared", reader.integer(kSharedHidden, int64_t{0}), kGgufName);
}

Options read(PublishedReader& reader) {
  const bool chooses = reader.integer("expert_count", int64_t{0}) > 0;
  Options options = hybrid_options(read_layers(reader), chooses ? "moe" : "mlp");
  if (!options.has("mamba2.state")) {
    reader.refuse("attention.head_count_kv", "no layer is Mamba-2");
  }
  read_gguf_width(reader, options);
  options.set("model.hidden", reader.integer("feed_forward_length"), kGgufName);
  options.set("model.mlp_bias", false, kGgufName);
  read_experts(reader, options);
  read_gguf_mamba2(reader, InnerSize::kMultiple, options);
  if (options.integer("mamba2.inner") != 0) {
    reader.refuse("ssm.inner_size", "must be twice embedding_length, as llama.cpp has it");
  }
  read_positions(reader, options);
  for (const auto& [ours, theirs] : kMultipliers) {
    options.set(ours, reader.real(theirs, 1), kGgufName);
  }
  const double divisor = reader.real(kLogitScale, 1);
  options.set("model.logits_multiplier", divisor == 0 ? 1 : 1 / divisor, kGgufName);
  reader.pass_over({"expert_count", "expert_used_count", kSharedHidden});
  pass_over_gguf(reader);
  return options;
}

void write_experts(const Options& options, PublishedConfig& config) {
  const bool chooses = options.has("moe.experts");
  config["expert_count"] = chooses ? options.at("moe.experts") : Value(int64_t{0});
  config["expert_used_count"] = chooses ? options.at("moe.chosen") : Value(int64_t{0});
  if (chooses) config[kSharedHidden] = options.at("moe.shared");
}

PublishedConfig write(const Options& options) {
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  if (!options.has("mamba2.state")) {
    throw ConfigError({.where = "model.pattern",
                       .what = "the gguf form of granitehybrid cannot say this",
                       .got = {},
                       .fix = "it needs a layer of mamba2"});
  }
  PublishedConfig config = write_gguf_width(options);
  config["feed_forward_length"] = options.at("model.hidden");
  write_experts(options, config);
  write_gguf_mamba2(options, config);
  write_gguf_attention(options, layers, config);
  config[kTurns] = config.contains("rope.freq_base");
  if (options.has("attention.scale") && options.real("attention.scale") != 0) {
    config[kAttentionScale] = options.at("attention.scale");
  }
  for (const auto& [ours, theirs] : kMultipliers) {
    if (options.real(ours) != 1) config[theirs] = options.at(ours);
  }
  const double multiplier = options.real("model.logits_multiplier");
  if (multiplier != 1) config[kLogitScale] = divisor_of(multiplier);
  return config;
}

/// llama.cpp turns neighbours here; without positions its converter has the same order.
int64_t interleaved(const Options& options) {
  if (!options.has("attention.heads")) return 0;
  const int64_t head_dim = options.integer("attention.head_dim");
  const bool turns = options.real("attention.rotary_base") != 0;
  const bool half = turns && options.real("attention.rotary_part") == kHalfOfAHead;
  return half ? head_dim / 2 : head_dim;
}

void place(TensorMap& map) {
  const Options& options = map.config().options;
  const std::vector<Pattern::Layer> layers = parse_pattern(options.text("model.pattern")).layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string n = std::to_string(i), ours = "layers." + n + ".", theirs = "blk." + n + ".";
    const auto layer = static_cast<int64_t>(i);
    map.whole(ours + "norm.weight", theirs + "attn_norm.weight");
    if (layers[i].family == "attention") {
      place_gguf_attention(map, ours + "mixer.", layer, interleaved(options));
    } else {
      place_gguf_mamba2(map, layer);
    }
    map.whole(ours + "mlp_norm.weight", theirs + "ffn_norm.weight");
    if (layers[i].after == AfterMixer::kMoe) {
      place_gguf_experts(map, layer);
      place_gguf_shared_expert(map, layer);
    } else {
      place_gguf_mlp(map, layer);
    }
  }
  place_gguf_ends(map);
}

/// Half of each head turned: Bamba.
bool describes_bamba(PublishedReader& reader) {
  const int64_t heads = reader.integer("attention.head_count", int64_t{0});
  if (heads < 1) return false;
  const int64_t head_dim =
      reader.integer("attention.key_length", reader.integer("embedding_length") / heads);
  return is_half(turned(reader, head_dim), head_dim);
}

bool describes_granite(PublishedReader& reader) { return !describes_bamba(reader); }

}  // namespace

constinit const GgufForm kBambaGguf = {"granitehybrid", read, write, place, describes_bamba};
constinit const GgufForm kGraniteHybridGguf = {"granitehybrid", read, write, place,
                                               describes_granite};

}  // namespace longwave::models
