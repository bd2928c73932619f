// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "longwave/models/families/tensor_map.h"
#include "longwave/models/published_config.h"

/// What families have in common as llama.cpp names it in GGUF files.
namespace longwave::models {

/// Layers that a file may ask for.
inline constexpr int64_t kMostGgufLayers = 1024;

/// Where values of a GGUF file come from, in messages.
inline constexpr const char* kGgufName = "GGUF";

/// block_count, within what a file may ask for.
int64_t read_gguf_layer_count(PublishedReader& reader);

/// Keys that say how to call or train a model, or once more what tensors it has.
void pass_over_gguf(PublishedReader& reader);

/// embedding_length and the epsilon of all norms.
void read_gguf_width(PublishedReader& reader, Options& options);

/// block_count, embedding_length, the epsilon, and keys that llama.cpp asks for although they mean
/// nothing for layers without attention.
PublishedConfig write_gguf_width(const Options& options);

/// ssm.*: the options of "mamba" or "mamba2", which the width must precede.
void read_gguf_mamba(PublishedReader& reader, Options& options);
void write_gguf_mamba(const Options& options, PublishedConfig& config);
void read_gguf_mamba2(PublishedReader& reader, Options& options);
void write_gguf_mamba2(const Options& options, PublishedConfig& config);

/// The same for a mixer whose inner_size need be no multiple of the width; where it is, it may be
/// said as one. What no key of llama.cpp says is kept under "longwave.".
enum class InnerSize : uint8_t { kMultiple, kAlone };
void read_gguf_mamba2(PublishedReader& reader, InnerSize said, Options& options);
void write_gguf_expand(const Options& options, PublishedConfig& config);

/// A whole model of such layers of "mamba", each after a norm.
Options read_gguf_mamba_model(PublishedReader& reader);
PublishedConfig write_gguf_mamba_model(const Options& options);
void place_gguf_mamba_model(TensorMap& map);

/// token_embd, output_norm and output.
void place_gguf_ends(TensorMap& map);

/// A whole model whose layers are a norm and a mixer.
void place_gguf_layers(TensorMap& map, void (*place_mixer)(TensorMap& map, int64_t layer));

/// ffn_gate, ffn_up and ffn_down: the layer's MLP, with the multipliers that it may have, or, with
/// the ending _exps and the router as ffn_gate_inp, its experts.
void place_gguf_mlp(TensorMap& map, int64_t layer);
void place_gguf_experts(TensorMap& map, int64_t layer);

/// ssm_*: the layers' mixers "layers.N.mixer." as "blk.N.".
void place_gguf_mamba(TensorMap& map, int64_t layer);
void place_gguf_mamba2(TensorMap& map, int64_t layer);

/// The same for a mixer of Mamba-2 whose names begin with `ours`. llama.cpp has no multipliers of
/// its parts: they become part of the projections.
void place_gguf_mamba2(TensorMap& map, const std::string& ours, int64_t layer);

}  // namespace longwave::models
