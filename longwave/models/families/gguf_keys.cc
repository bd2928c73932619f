// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/gguf_keys.h"

#include <utility>

#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

constexpr const char* kEpsilon = "attention.layer_norm_rms_epsilon";
/// Without attention any length will do; llama.cpp wants a number.
constexpr int64_t kAnyLength = int64_t{1} << 20;

std::string ours_of(int64_t layer) { return "layers." + std::to_string(layer) + ".mixer."; }
std::string theirs_of(int64_t layer) { return "blk." + std::to_string(layer) + ".ssm_"; }

/// What no key of llama.cpp says, as transformers has it by default.
constexpr const char* kExpand = "longwave.expand";
constexpr int64_t kUsualExpand = 2;

/// ssm.inner_size as a multiple of the width.
void read_multiple(PublishedReader& reader, const std::string& mixer, Options& options) {
  const int64_t channels = options.integer("model.d_model");
  const int64_t inner = reader.integer("ssm.inner_size");
  if (channels < 1 || inner < channels || inner % channels != 0) {
    reader.refuse("ssm.inner_size", "must be a multiple of embedding_length");
  }
  options.set(mixer + ".expand", inner / channels, kGgufName);
}

/// What both mixers share.
void read_common(PublishedReader& reader, const std::string& mixer, Options& options) {
  options.set(mixer + ".width", reader.integer("ssm.conv_kernel"), kGgufName);
  options.set(mixer + ".state", reader.integer("ssm.state_size"), kGgufName);
  options.set(mixer + ".conv_bias", true, kGgufName);
  options.set(mixer + ".bias", false, kGgufName);
}

void write_common(const Options& options, const std::string& mixer, PublishedConfig& config) {
  config["ssm.conv_kernel"] = options.at(mixer + ".width");
  config["ssm.state_size"] = options.at(mixer + ".state");
}

/// A convolution without the extent of 1 in its middle.
void place_convolution(TensorMap& map, const std::string& our_mixer, int64_t layer) {
  const std::string ours = our_mixer + "conv1d.", theirs = theirs_of(layer) + "conv1d.";
  if (map.has(ours + "weight")) {
    const Shape& shape = map.shape(ours + "weight");
    map.reshaped(ours + "weight", theirs + "weight", {shape.front(), shape.back()});
  }
  map.whole(ours + "bias", theirs + "bias");
}

void read_heads_of_scan(PublishedReader& reader, int64_t inner, Options& options) {
  const int64_t heads = reader.integer("ssm.time_step_rank");
  if (heads < 1 || inner < 1 || inner % heads != 0) {
    reader.refuse("ssm.time_step_rank", "the number of heads must divide ssm.inner_size");
  }
  options.set("mamba2.head_dim", inner / heads, kGgufName);
  options.set("mamba2.groups", reader.integer("ssm.group_count", int64_t{1}), kGgufName);
}

}  // namespace

int64_t read_gguf_layer_count(PublishedReader& reader) {
  const int64_t count = reader.integer("block_count");
  if (count < 1 || count > kMostGgufLayers) reader.refuse("block_count", "is out of range");
  return count;
}

void pass_over_gguf(PublishedReader& reader) {
  reader.pass_over({"context_length", "feed_forward_length", "attention.head_count",
                    "attention.head_count_kv", "rope.dimension_count", "has_experts",
                    "has_scan_norm"});
}

void read_gguf_width(PublishedReader& reader, Options& options) {
  options.set("model.d_model", reader.integer("embedding_length"), kGgufName);
  options.set("model.norm_epsilon", reader.real(kEpsilon, 1e-5), kGgufName);
}

PublishedConfig write_gguf_width(const Options& options) {
  return {
      {"block_count", static_cast<int64_t>(layers_of(options.text("model.pattern")).size())},
      {"embedding_length", options.at("model.d_model")},
      {kEpsilon, options.at("model.norm_epsilon")},
      {"context_length", kAnyLength},
      {"feed_forward_length", int64_t{0}},
      {"attention.head_count", int64_t{0}},
  };
}

void read_gguf_mamba(PublishedReader& reader, Options& options) {
  read_multiple(reader, "mamba", options);
  read_common(reader, "mamba", options);
  options.set("mamba.dt_rank", reader.integer("ssm.time_step_rank"), kGgufName);
}

void write_gguf_mamba(const Options& options, PublishedConfig& config) {
  constexpr int64_t kChannelsPerRank = 16;
  write_common(options, "mamba", config);
  config["ssm.inner_size"] = options.integer("mamba.expand") * options.integer("model.d_model");
  const int64_t rank = options.integer("mamba.dt_rank");
  const int64_t channels = options.integer("model.d_model");
  config["ssm.time_step_rank"] =
      rank > 0 ? rank : (channels + kChannelsPerRank - 1) / kChannelsPerRank;
}

void read_gguf_mamba2(PublishedReader& reader, Options& options) {
  read_multiple(reader, "mamba2", options);
  read_common(reader, "mamba2", options);
  read_heads_of_scan(reader, options.integer("mamba2.expand") * options.integer("model.d_model"),
                     options);
}

void read_gguf_mamba2(PublishedReader& reader, InnerSize said, Options& options) {
  const int64_t inner = reader.integer("ssm.inner_size");
  const int64_t expand = reader.integer(kExpand, kUsualExpand);
  options.set("mamba2.expand", expand, kGgufName);
  const bool follows = inner == expand * options.integer("model.d_model");
  options.set("mamba2.inner", said == InnerSize::kMultiple && follows ? 0 : inner, kGgufName);
  options.set("mamba2.norm_epsilon", options.at("model.norm_epsilon"), kGgufName);
  read_common(reader, "mamba2", options);
  read_heads_of_scan(reader, inner, options);
}

void write_gguf_mamba2(const Options& options, PublishedConfig& config) {
  const mixers::mamba2::Settings settings(options.section("mamba2"),
                                          options.integer("model.d_model"));
  write_common(options, "mamba2", config);
  config["ssm.inner_size"] = settings.inner;
  config["ssm.time_step_rank"] = settings.heads;
  config["ssm.group_count"] = settings.groups;
}

void write_gguf_expand(const Options& options, PublishedConfig& config) {
  const Value& expand = options.at("mamba2.expand");
  if (expand != Value(kUsualExpand)) config[kExpand] = expand;
}

void place_gguf_ends(TensorMap& map) {
  map.whole("encoder.weight", "token_embd.weight");
  map.whole("norm.weight", "output_norm.weight");
  map.whole("decoder.weight", "output.weight");
}

Options read_gguf_mamba_model(PublishedReader& reader) {
  Options options = published_options("mamba", reader.integer("block_count"));
  read_gguf_width(reader, options);
  read_gguf_mamba(reader, options);
  pass_over_gguf(reader);
  return options;
}

PublishedConfig write_gguf_mamba_model(const Options& options) {
  PublishedConfig config = write_gguf_width(options);
  write_gguf_mamba(options, config);
  return config;
}

void place_gguf_layers(TensorMap& map, void (*place_mixer)(TensorMap& map, int64_t layer)) {
  const auto layers = layers_of(map.config().options.text("model.pattern"));
  for (int64_t i = 0; i < static_cast<int64_t>(layers.size()); ++i) {
    const std::string n = std::to_string(i);
    map.whole("layers." + n + ".norm.weight", "blk." + n + ".attn_norm.weight");
    place_mixer(map, i);
  }
  place_gguf_ends(map);
}

void place_gguf_mamba_model(TensorMap& map) { place_gguf_layers(map, place_gguf_mamba); }

void place_gguf_mlp(TensorMap& map, int64_t layer) {
  const std::string n = std::to_string(layer);
  const std::string ours = "layers." + n + ".mlp.", theirs = "blk." + n + ".ffn_";
  const int64_t hidden = map.shape(ours + "up.weight").front() / 2;
  const Options& options = map.config().options;
  map.stack(ours + "up.weight",
            {{theirs + "up.weight", hidden},
             {theirs + "gate.weight", hidden, options.real("model.gate_multiplier")}});
  map.whole(ours + "down.weight", theirs + "down.weight", options.real("model.down_multiplier"));
}

void place_gguf_experts(TensorMap& map, int64_t layer) {
  const std::string n = std::to_string(layer);
  const std::string ours = "layers." + n + ".moe.", theirs = "blk." + n + ".ffn_";
  const Shape& shape = map.shape(ours + "up.weight");  // (experts, 2 hidden, channels)
  const int64_t hidden = shape[1] / 2;
  map.whole(ours + "router.weight", theirs + "gate_inp.weight");
  for (int64_t half = 0; half < 2 * shape[0]; ++half) {
    map.place({.ours = ours + "up.weight",
               .our_shape = {},
               .our_row = half * hidden,
               .theirs = theirs + (half % 2 == 0 ? "up" : "gate") + "_exps.weight",
               .their_shape = {shape[0], hidden, shape[2]},
               .their_row = half / 2 * hidden,
               .rows = hidden});
  }
  map.whole(ours + "down.weight", theirs + "down_exps.weight");
}

void place_gguf_mamba(TensorMap& map, int64_t layer) {
  const std::string ours = ours_of(layer), theirs = theirs_of(layer);
  map.whole(ours + "in_proj.weight", theirs + "in.weight");
  place_convolution(map, ours, layer);
  map.whole(ours + "x_proj.weight", theirs + "x.weight");
  map.whole(ours + "dt_proj.weight", theirs + "dt.weight");
  map.whole(ours + "dt_proj.bias", theirs + "dt.bias");
  map.reshaped(ours + "A_log", theirs + "a", map.shape(ours + "A_log"),
               Placement::Change::kMinusExp);
  map.whole(ours + "D", theirs + "d");
  map.whole(ours + "out_proj.weight", theirs + "out.weight");
  for (const std::string part : {"dt", "b", "c"}) {
    map.whole(ours + part + "_layernorm.weight", theirs + part + "_norm.weight");
  }
}

void place_gguf_mamba2(TensorMap& map, int64_t layer) {
  place_gguf_mamba2(map, ours_of(layer), layer);
}

void place_gguf_mamba2(TensorMap& map, const std::string& ours, int64_t layer) {
  const std::string theirs = theirs_of(layer), projection = ours + "in_proj.weight";
  const Options& options = map.config().options;
  const mixers::mamba2::Settings settings(options.section("mamba2"),
                                          options.integer("model.d_model"));
  const auto& by = settings.multipliers;
  int64_t row = 0;
  for (const auto& [rows, factor] :
       {std::pair{settings.inner, by.z}, std::pair{settings.inner, by.x},
        std::pair{settings.groups * settings.state, by.B},
        std::pair{settings.groups * settings.state, by.C}, std::pair{settings.heads, by.dt}}) {
    map.place({.ours = projection,
               .our_shape = {},
               .our_row = row,
               .theirs = theirs + "in.weight",
               .their_shape = map.shape(projection),
               .their_row = row,
               .rows = rows,
               .factor = by.in * factor});
    row += rows;
  }
  place_convolution(map, ours, layer);
  map.whole(ours + "dt_bias", theirs + "dt.bias");
  map.reshaped(ours + "A_log", theirs + "a", {settings.heads, 1}, Placement::Change::kMinusExp);
  map.reshaped(ours + "D", theirs + "d", {settings.heads, 1});
  map.reshaped(ours + "norm.weight", theirs + "norm.weight",
               {settings.groups, settings.inner / settings.groups});
  map.whole(ours + "out_proj.weight", theirs + "out.weight", by.out);
}

}  // namespace longwave::models
