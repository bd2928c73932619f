// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/family.h"
#include "longwave/models/families/gguf_keys.h"
#include "longwave/models/families/transformers_keys.h"

namespace longwave::models {
namespace {

Options read(PublishedReader& reader) {
  Options options = published_options("mamba", reader.integer("num_hidden_layers"));
  options.set("model.d_model", reader.integer("hidden_size"), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", true), kConfigName);
  read_mamba_keys(reader, "mamba", options);
  read_step_rank(reader, options);
  return options;
}

PublishedConfig write(const Options& options) {
  PublishedConfig config = write_mamba_keys(options, "mamba");
  write_step_rank(options, config);
  return config;
}

void place(TensorMap& map) { place_backbone(map, "embeddings.weight"); }

/// FalconMamba has the same architecture there, with norms that Mamba lacks.
bool describes(PublishedReader& reader) { return !reader.flag("ssm.dt_b_c_rms", false); }

constexpr GgufForm kGguf = {"mamba", read_gguf_mamba_model, write_gguf_mamba_model,
                            place_gguf_mamba_model, describes};

}  // namespace

/// Mamba as Gu & Dao published it, arXiv:2312.00752.
constinit const PublishedFamily kMambaFamily = {"mamba", "MambaForCausalLM", read, write, place,
                                                &kGguf};

}  // namespace longwave::models
