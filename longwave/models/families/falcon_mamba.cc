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
  options.set("mamba.selection_norm", std::string("plain"), kConfigName);
  options.set("mamba.selection_epsilon", reader.real("mixer_rms_eps", 1e-6), kConfigName);
  return options;
}

PublishedConfig write(const Options& options) {
  PublishedConfig config = write_mamba_keys(options, "mamba");
  write_step_rank(options, config);
  config["mixer_rms_eps"] = options.at("mamba.selection_epsilon");
  return config;
}

void place(TensorMap& map) { place_backbone(map, "embeddings.weight"); }

constexpr const char* kNorms = "ssm.dt_b_c_rms";

/// Says nothing of mixer_rms_eps: it is what all published models have.
Options read_gguf(PublishedReader& reader) {
  Options options = read_gguf_mamba_model(reader);
  reader.must_be(kNorms, true);
  options.set("mamba.selection_norm", std::string("plain"), "GGUF");
  options.set("mamba.selection_epsilon", 1e-6, "GGUF");
  return options;
}

PublishedConfig write_gguf(const Options& options) {
  PublishedConfig config = write_gguf_mamba_model(options);
  config[kNorms] = true;
  return config;
}

bool describes(PublishedReader& reader) { return reader.flag(kNorms, false); }

constexpr GgufForm kGguf = {"mamba", read_gguf, write_gguf, place_gguf_mamba_model, describes};

}  // namespace

/// Mamba with norms of dt, B and C without weights: Zuo et al. 2024, arXiv:2410.05355.
constinit const PublishedFamily kFalconMambaFamily = {
    "falcon_mamba", "FalconMambaForCausalLM", read, write, place, &kGguf};

}  // namespace longwave::models
