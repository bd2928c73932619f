// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/models/families/tensor_map.h"
#include "longwave/models/published_config.h"

/// What several families have in common: keys of transformers' config.json and names of tensors.
namespace longwave::models {

/// Where values of a config.json come from, in messages.
inline constexpr const char* kConfigName = "config.json";

/// Keys that say how to store, train, call or generate and no more.
void pass_over_common(PublishedReader& reader);

/// Refuses every other activation under this key.
void require_silu(PublishedReader& reader, const char* key);

/// Options of "mamba" or "mamba2" whose keys Mamba, Mamba-2 and FalconMamba share.
void read_mamba_keys(PublishedReader& reader, const std::string& mixer, Options& options);

/// The start of step sizes by rank, as Mamba and FalconMamba have it.
void read_step_rank(PublishedReader& reader, Options& options);

/// The keys of the two above.
PublishedConfig write_mamba_keys(const Options& options, const std::string& mixer);
void write_step_rank(const Options& options, PublishedConfig& config);

/// The names of state-spaces: backbone.EMBEDDING, backbone.layers.N.*, backbone.norm_f, lm_head.
void place_backbone(TensorMap& map, const std::string& embedding);

}  // namespace longwave::models
