// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/models/families/tensor_map.h"
#include "longwave/models/pattern.h"
#include "longwave/models/published_config.h"

/// What hybrids of Mamba-2 and attention have in common as transformers writes them.
namespace longwave::models {

/// Layers that a model may have.
inline constexpr int64_t kMostHybridLayers = 1024;

/// Options of a model of these layers, "mamba2" or "attention", each followed by what the rule
/// says ("mlp", "moe", "none"): norms before each branch, nothing between mixer and sum.
///
/// Errors     ConfigError if there are no layers or too many.
Options hybrid_options(const std::vector<std::string>& layers, const std::string& rule);

/// The number of layers, within what a model may have.
int64_t read_layer_count(PublishedReader& reader, int64_t otherwise);

/// The epsilon of all norms.
void read_norm_epsilon(PublishedReader& reader, double otherwise, Options& options);

/// mamba_n_heads, mamba_d_head, mamba_d_state, ...: what Bamba, Granite and Falcon-H1 share. The
/// scan has `inner` channels; 0 = mamba_expand times hidden_size.
void read_mamba2_keys(PublishedReader& reader, int64_t inner, Options& options);
void write_mamba2_keys(const Options& options, PublishedConfig& config);

/// The number whose reciprocal a multiplier is: what was read, where that has few digits.
double divisor_of(double multiplier);

/// How many positions attention knows, and how many a state has memory for unless it is asked.
void set_positions(int64_t positions, Options& options);

/// What a family takes for granted where a key is missing.
struct AttentionDefaults {
  int64_t heads = 32;
  int64_t kv_heads = 0;  ///< 0: as many as heads
};
/// num_attention_heads, num_key_value_heads, head_dim, attention_bias.
void read_attention_keys(PublishedReader& reader, const AttentionDefaults& defaults,
                         Options& options);
void write_attention_keys(const Options& options, PublishedConfig& config);

/// rope_theta, alone or in rope_parameters; other ways to turn are refused.
void read_rotary_keys(PublishedReader& reader, Options& options);
void write_rotary_keys(const Options& options, PublishedConfig& config);

/// in_proj.* from q_proj, k_proj and v_proj, out_proj.* from o_proj; both names end with a dot.
void place_attention(TensorMap& map, const std::string& ours, const std::string& theirs);

/// A tensor of which theirs has the second half first.
void place_gate_first(TensorMap& map, const std::string& ours, const std::string& theirs);

/// The two halves of up.* from their tensors, in one tensor if the two are the same: then the gate
/// comes first there.
struct GatedMlpNames {
  std::string gate, up, down;
};
void place_gated_mlp(TensorMap& map, const std::string& ours, const GatedMlpNames& theirs);

/// A part of a layer; `ours` and `theirs` are how the names of its tensors begin, up to a dot.
using PlacePart = void(TensorMap& map, const Pattern::Layer& layer, const std::string& ours,
                       const std::string& theirs);

/// "mixer." as self_attn. or mamba., whichever the layer is.
PlacePart place_mixer;

/// "mlp." from feed_forward.gate_proj, up_proj and down_proj.
PlacePart place_feed_forward;

/// What differs in the names of hybrids whose layers are a mixer and a feed-forward part.
struct HybridNames {
  std::string_view mlp_norm;  ///< before the feed-forward part of a layer
  std::string_view norm;      ///< before the head
  PlacePart* feed_forward = place_feed_forward;
  PlacePart* mixer = place_mixer;
};
/// The tensors of a whole model.
void place_hybrid(TensorMap& map, const HybridNames& names);

}  // namespace longwave::models
