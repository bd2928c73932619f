// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2.h"

#include <algorithm>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/gguf_keys.h"
#include "longwave/models/families/transformers_keys.h"

namespace longwave::models {
namespace {

void read_heads(PublishedReader& reader, Options& options) {
  const int64_t inner = options.integer("mamba2.expand") * options.integer("model.d_model");
  const int64_t heads = reader.integer("num_heads", int64_t{128});
  const int64_t head_dim = reader.integer("head_dim", int64_t{64});
  if (heads < 1 || head_dim < 1 || inner % heads != 0 || inner / heads != head_dim) {
    reader.refuse("num_heads", "num_heads times head_dim must be expand times hidden_size");
  }
  options.set("mamba2.head_dim", head_dim, kConfigName);
  options.set("mamba2.groups", reader.integer("n_groups", int64_t{8}), kConfigName);
}

Options read(PublishedReader& reader) {
  Options options = published_options("mamba2", reader.integer("num_hidden_layers"));
  options.set("model.d_model", reader.integer("hidden_size"), kConfigName);
  options.set("model.tie", reader.flag("tie_word_embeddings", false), kConfigName);
  reader.must_be("rms_norm", true);
  // The norm inside the mixer would have it, too.
  reader.must_be("layer_norm_epsilon", double{1e-5});
  read_mamba_keys(reader, "mamba2", options);
  read_heads(reader, options);
  options.set("mamba2.dt_least", reader.real("time_step_limit.0", 0), kConfigName);
  options.set("mamba2.dt_most",
              std::min(kNoStepLimit, reader.real("time_step_limit.1", kNoStepLimit)), kConfigName);
  // Left over from Mamba; nothing that computes reads them.
  reader.pass_over({"time_step_rank", "time_step_scale", "time_step_init_scheme"});
  return options;
}

PublishedConfig write(const Options& options) {
  const mixers::mamba2::Settings settings(options.section("mamba2"),
                                          options.integer("model.d_model"));
  const auto need = [](bool holds, const char* option, const char* fix) {
    if (holds) return;
    throw ConfigError(
        {.where = option, .what = "the hf form cannot say this", .got = {}, .fix = fix});
  };
  need(options.text("mamba2.norm") == "after_gate", "mamba2.norm", "it needs \"after_gate\"");
  need(settings.norm_groups == settings.groups, "mamba2.norm_groups",
       "it needs one norm a group of heads: 0");
  need(!settings.skip_per_channel, "mamba2.skip", "it needs \"head\"");
  PublishedConfig config = write_mamba_keys(options, "mamba2");
  config["head_dim"] = settings.head_dim;
  config["num_heads"] = settings.heads;
  config["n_groups"] = settings.groups;
  if (settings.dt_least > 0 || settings.dt_most < kNoStepLimit) {
    config["time_step_limit.0"] = settings.dt_least;
    config["time_step_limit.1"] = settings.dt_most;
  }
  return config;
}

void place(TensorMap& map) { place_backbone(map, "embeddings.weight"); }

Options read_gguf(PublishedReader& reader) {
  Options options = published_options("mamba2", reader.integer("block_count"));
  read_gguf_width(reader, options);
  read_gguf_mamba2(reader, options);
  pass_over_gguf(reader);
  return options;
}

PublishedConfig write_gguf(const Options& options) {
  PublishedConfig config = write_gguf_width(options);
  write_gguf_mamba2(options, config);
  return config;
}

void place_gguf(TensorMap& map) { place_gguf_layers(map, place_gguf_mamba2); }

constexpr GgufForm kGguf = {"mamba2", read_gguf, write_gguf, place_gguf};

}  // namespace

/// Mamba-2 as Dao & Gu published it, arXiv:2405.21060.
constinit const PublishedFamily kMamba2Family = {"mamba2", "Mamba2ForCausalLM", read, write, place,
                                                 &kGguf};

}  // namespace longwave::models
