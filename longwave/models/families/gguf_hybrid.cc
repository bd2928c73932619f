// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/gguf_hybrid.h"

#include <algorithm>

#include "longwave/mixers/attention/attention.h"
#include "longwave/models/families/hybrid_keys.h"

namespace longwave::models {
namespace {

constexpr const char* kHeads = "attention.head_count";
constexpr const char* kKeyHeads = "attention.head_count_kv";
constexpr const char* kKeyLength = "attention.key_length";
constexpr const char* kValueLength = "attention.value_length";
constexpr const char* kRotaryBase = "rope.freq_base";

mixers::attention::Shapes shapes_of(const Options& options) {
  return {options.section("attention"), options.integer("model.d_model")};
}

/// Heads of one kind: their rows of ours from `our_row` on are a tensor of theirs.
struct Heads {
  std::string ours;
  int64_t our_row;
  std::string theirs;
  int64_t heads;
  int64_t head_dim;
  int64_t interleaved;
  double factor;
};

void place_heads(TensorMap& map, const Heads& all) {
  Shape their_shape = map.shape(all.ours);
  their_shape.front() = all.heads * all.head_dim;
  const auto rows = [&](int64_t our_row, int64_t their_row, int64_t step, int64_t count) {
    map.place({.ours = all.ours,
               .our_shape = {},
               .our_row = all.our_row + our_row,
               .theirs = all.theirs,
               .their_shape = their_shape,
               .their_row = their_row,
               .their_step = step,
               .rows = count,
               .factor = all.factor});
  };
  if (all.interleaved == 0) return rows(0, 0, 1, all.heads * all.head_dim);
  const int64_t half = all.interleaved / 2;
  for (int64_t head = 0; head < all.heads; ++head) {
    const int64_t first = head * all.head_dim;
    rows(first, first, 2, half);
    rows(first + half, first + 1, 2, half);
    const int64_t rest = all.head_dim - 2 * half;
    if (rest > 0) rows(first + 2 * half, first + 2 * half, 1, rest);
  }
}

}  // namespace

std::vector<int64_t> read_gguf_counts(PublishedReader& reader, const std::string& key,
                                      int64_t layers) {
  const int64_t all = reader.integer(key, int64_t{0});
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < layers; ++i) {
    const std::string name = key + "." + std::to_string(i);
    counts.push_back(reader.integer(name, all));
    if (counts.back() < 0) reader.refuse(reader.has(name) ? name : key, "must not be negative");
  }
  return counts;
}

void read_gguf_attention(PublishedReader& reader, Options& options) {
  const int64_t channels = options.integer("model.d_model");
  const int64_t heads = reader.integer(kHeads, int64_t{0});
  const int64_t usual = heads > 0 ? channels / heads : 0;
  const int64_t head_dim = reader.integer(kKeyLength, usual);
  reader.must_be(kValueLength, head_dim);
  const double base = reader.real(kRotaryBase, 10000);
  const int64_t positions = reader.integer("context_length");
  if (!options.has("attention.heads")) return;
  if (heads < 1) reader.refuse(kHeads, "is out of range");
  if (head_dim < 1) reader.refuse(kKeyLength, "is out of range");
  int64_t kv_heads = 0;
  for (const int64_t count : read_gguf_counts(reader, kKeyHeads, read_gguf_layer_count(reader))) {
    if (count > 0 && kv_heads > 0 && count != kv_heads) {
      reader.refuse(kKeyHeads, "layers whose heads differ are not supported");
    }
    kv_heads = std::max(kv_heads, count);
  }
  options.set("attention.heads", heads, kGgufName);
  options.set("attention.kv_heads", kv_heads, kGgufName);
  options.set("attention.head_dim", head_dim, kGgufName);
  options.set("attention.bias", false, kGgufName);
  options.set("attention.rotary_base", base, kGgufName);
  set_positions(positions, options);
}

void write_gguf_attention(const Options& options, const std::vector<Pattern::Layer>& layers,
                          PublishedConfig& config) {
  if (!options.has("attention.heads")) {
    config[kKeyHeads] = int64_t{0};
    return;
  }
  const mixers::attention::Shapes shapes = shapes_of(options);
  const auto attends = [](const Pattern::Layer& layer) {
    return layer.family.ends_with("attention");
  };
  if (std::ranges::all_of(layers, attends)) {
    config[kKeyHeads] = shapes.kv_heads;
  } else {
    for (size_t i = 0; i < layers.size(); ++i) {
      config[kKeyHeads + ("." + std::to_string(i))] =
          attends(layers[i]) ? shapes.kv_heads : int64_t{0};
    }
  }
  config[kHeads] = shapes.heads;
  config[kKeyLength] = shapes.head_dim;
  config[kValueLength] = shapes.head_dim;
  config["context_length"] = options.at("attention.positions");
  if (shapes.rotary_base == 0) return;
  config["rope.dimension_count"] = shapes.rotary_dims;
  config[kRotaryBase] = shapes.rotary_base;
}

void place_gguf_attention(TensorMap& map, const std::string& ours, int64_t layer,
                          int64_t interleaved) {
  const mixers::attention::Shapes shapes = shapes_of(map.config().options);
  const auto& by = shapes.multipliers;
  const std::string theirs = "blk." + std::to_string(layer) + ".attn_";
  const std::string projection = ours + "in_proj.weight";
  const int64_t queries = shapes.heads * shapes.head_dim;
  const int64_t keys = shapes.kv_heads * shapes.head_dim;
  place_heads(
      map, {projection, 0, theirs + "q.weight", shapes.heads, shapes.head_dim, interleaved, by.in});
  place_heads(map, {projection, queries, theirs + "k.weight", shapes.kv_heads, shapes.head_dim,
                    interleaved, by.in * by.key});
  place_heads(map, {projection, queries + keys, theirs + "v.weight", shapes.kv_heads,
                    shapes.head_dim, 0, by.in});
  map.whole(ours + "out_proj.weight", theirs + "output.weight", by.out);
}

void place_gguf_shared_expert(TensorMap& map, int64_t layer) {
  const std::string n = std::to_string(layer);
  const std::string ours = "layers." + n + ".moe.shared.", theirs = "blk." + n + ".ffn_";
  if (!map.has(ours + "up.weight")) return;
  const int64_t rows = map.shape(ours + "up.weight").front();
  const int64_t hidden = map.shape(ours + "down.weight").back();
  if (rows == hidden) {
    map.whole(ours + "up.weight", theirs + "up_shexp.weight");
  } else {
    map.stack(ours + "up.weight",
              {{theirs + "up_shexp.weight", hidden}, {theirs + "gate_shexp.weight", hidden}});
  }
  map.whole(ours + "down.weight", theirs + "down_shexp.weight");
}

}  // namespace longwave::models
