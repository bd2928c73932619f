// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longwave/models/families/gguf_keys.h"
#include "longwave/models/families/tensor_map.h"
#include "longwave/models/pattern.h"
#include "longwave/models/published_config.h"

/// What hybrids with attention have in common as llama.cpp names it in GGUF files.
namespace longwave::models {

/// A number for each layer: "key.0", "key.1", ..., or one of all; 0 where there is none.
std::vector<int64_t> read_gguf_counts(PublishedReader& reader, const std::string& key,
                                      int64_t layers);

/// attention.*, rope.freq_base: the heads, without biases. Refuses layers whose heads differ.
void read_gguf_attention(PublishedReader& reader, Options& options);

/// The same; head_count_kv is one a layer, 0 for one that does not attend, unless all are alike.
void write_gguf_attention(const Options& options, const std::vector<Pattern::Layer>& layers,
                          PublishedConfig& config);

/// attn_q, attn_k, attn_v and attn_output of the mixer whose names begin with `ours`, multipliers
/// included.
///
/// Where llama.cpp turns neighbours and transformers the halves of a head, the first `interleaved`
/// rows of each head of queries and keys alternate between their halves; 0 = as they are.
void place_gguf_attention(TensorMap& map, const std::string& ours, int64_t layer,
                          int64_t interleaved = 0);

/// ffn_up_shexp, ffn_gate_shexp if it is gated, and ffn_down_shexp: the expert that sees every
/// step.
void place_gguf_shared_expert(TensorMap& map, int64_t layer);

}  // namespace longwave::models
