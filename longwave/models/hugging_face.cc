// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/models/published_config.h"

namespace longwave::models {
namespace {

constexpr const char* kWhere = "config.json";

/// Keys that say how to store, train, call or generate, and those of the original project that
/// early conversions kept and transformers does not read.
void pass_over_others(PublishedReader& reader) {
  reader.pass_over({"model_type",
                    "architectures",
                    "dtype",
                    "torch_dtype",
                    "transformers_version",
                    "_name_or_path",
                    "_attn_implementation_autoset",
                    "bos_token_id",
                    "eos_token_id",
                    "pad_token_id",
                    "sep_token_id",
                    "use_cache",
                    "initializer_range",
                    "rescale_prenorm_residual",
                    "residual_in_fp32",
                    "use_mambapy",
                    "use_associative_scan",
                    "chunk_size",
                    "return_dict",
                    "output_hidden_states",
                    "output_attentions",
                    "torchscript",
                    "is_encoder_decoder",
                    "id2label",
                    "label2id",
                    "problem_type",
                    "chunk_size_feed_forward",
                    "norm_before_gate",
                    "d_inner",
                    "d_model",
                    "n_layer",
                    "ssm_cfg",
                    "rms_norm",
                    "fused_add_norm",
                    "pad_vocab_size_multiple"});
}

void read_common(PublishedReader& reader, const std::string& family, Options& options) {
  for (const auto& [ours, theirs] :
       {std::pair{"state", "state_size"}, {"width", "conv_kernel"}, {"expand", "expand"}}) {
    const std::string key = family + "." + ours;
    options.set(key, reader.integer(theirs, options.integer(key)), kWhere);
  }
  for (const auto& [ours, theirs] : {std::pair{"dt_min", "time_step_min"},
                                     {"dt_max", "time_step_max"},
                                     {"dt_floor", "time_step_floor"}}) {
    const std::string key = family + "." + ours;
    options.set(key, reader.real(theirs, options.real(key)), kWhere);
  }
  options.set(family + ".conv_bias", reader.flag("use_conv_bias", true), kWhere);
  options.set(family + ".bias", reader.flag("use_bias", false), kWhere);
  const std::string activation = reader.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    reader.refuse("hidden_act", "this is not supported", "only \"silu\" is");
  }
  reader.must_be("layer_norm_epsilon", double{1e-5});
}

void read_mamba(PublishedReader& reader, Options& options) {
  options.set("mamba.dt_init", reader.text("time_step_init_scheme", "random"), kWhere);
  options.set("mamba.dt_scale", reader.real("time_step_scale", 1), kWhere);
  if (reader.says("time_step_rank", std::string("auto"))) return;
  options.set("mamba.dt_rank", reader.integer("time_step_rank", int64_t{0}), kWhere);
}

void read_mamba2(PublishedReader& reader, int64_t channels, Options& options) {
  // Left over from Mamba; nothing that computes reads them.
  reader.pass_over({"time_step_rank", "time_step_scale", "time_step_init_scheme"});
  const int64_t inner = options.integer("mamba2.expand") * channels;
  const int64_t heads = reader.integer("num_heads", int64_t{128});
  const int64_t head_dim = reader.integer("head_dim", int64_t{64});
  if (heads < 1 || head_dim < 1 || inner % heads != 0 || inner / heads != head_dim) {
    reader.refuse("num_heads", "num_heads times head_dim must be expand times hidden_size");
  }
  options.set("mamba2.head_dim", head_dim, kWhere);
  options.set("mamba2.groups", reader.integer("n_groups", int64_t{8}), kWhere);
  options.set("mamba2.dt_least", reader.real("time_step_limit.0", 0), kWhere);
  options.set("mamba2.dt_most",
              std::min(kNoStepLimit, reader.real("time_step_limit.1", kNoStepLimit)), kWhere);
}

}  // namespace

Config from_hugging_face(PublishedReader& reader) {
  const std::string family = reader.text("model_type", "");
  if (family != "mamba" && family != "mamba2") {
    reader.refuse("model_type", "this is not supported", "only mamba and mamba2 are");
  }
  const int64_t channels = reader.integer("hidden_size");
  Options options = published_options(family, reader.integer("num_hidden_layers"));
  options.set("model.d_model", channels, kWhere);
  options.set("model.tie", reader.flag("tie_word_embeddings", family == "mamba"), kWhere);
  read_common(reader, family, options);
  reader.must_be("intermediate_size", options.integer(family + ".expand") * channels);
  if (family == "mamba") {
    read_mamba(reader, options);
  } else {
    reader.must_be("rms_norm", true);
    read_mamba2(reader, channels, options);
  }
  pass_over_others(reader);
  const int64_t vocabulary = reader.integer("vocab_size");
  if (vocabulary < 1 || vocabulary > (1 << 24)) reader.refuse("vocab_size", "is out of range");
  return {{.input = Interface::Input::kTokens,
           .input_size = vocabulary,
           .output = Interface::Output::kStep,
           .output_size = vocabulary},
          options};
}

PublishedConfig to_hugging_face(const Config& config) {
  const Options& options = config.options;
  const std::string family = layers_of(options.text("model.pattern")).front();
  const Options mixer = options.section(family);
  const int64_t channels = options.integer("model.d_model");
  PublishedConfig result = {
      {"model_type", family},
      {"architectures.0",
       std::string(family == "mamba" ? "MambaForCausalLM" : "Mamba2ForCausalLM")},
      {"dtype", std::string("float32")},
      {"vocab_size", config.interface.input_size},
      {"hidden_size", channels},
      {"num_hidden_layers", static_cast<int64_t>(layers_of(options.text("model.pattern")).size())},
      {"tie_word_embeddings", options.at("model.tie")},
      {"layer_norm_epsilon", 1e-5},
      {"hidden_act", std::string("silu")},
      {"residual_in_fp32", true},
      {"state_size", mixer.at("state")},
      {"conv_kernel", mixer.at("width")},
      {"expand", mixer.at("expand")},
      {"use_conv_bias", mixer.at("conv_bias")},
      {"use_bias", mixer.at("bias")},
      {"time_step_min", mixer.at("dt_min")},
      {"time_step_max", mixer.at("dt_max")},
      {"time_step_floor", mixer.at("dt_floor")}};
  if (family == "mamba") {
    const int64_t rank = mixer.integer("dt_rank");
    result["time_step_rank"] = rank > 0 ? Value(rank) : Value(std::string("auto"));
    result["time_step_init_scheme"] = mixer.at("dt_init");
    result["time_step_scale"] = mixer.at("dt_scale");
    result["intermediate_size"] = mixer.integer("expand") * channels;
    return result;
  }
  const mixers::mamba2::Settings settings(mixer, channels);
  const auto need = [](bool holds, const char* option, const char* fix) {
    if (holds) return;
    throw ConfigError(
        {.where = option, .what = "the hf form cannot say this", .got = {}, .fix = fix});
  };
  need(mixer.text("norm") == "after_gate", "mamba2.norm", "it needs \"after_gate\"");
  need(settings.norm_groups == settings.groups, "mamba2.norm_groups",
       "it needs one norm a group of heads: 0");
  need(!settings.skip_per_channel, "mamba2.skip", "it needs \"head\"");
  result["head_dim"] = settings.head_dim;
  result["num_heads"] = settings.heads;
  result["n_groups"] = settings.groups;
  if (settings.dt_least > 0 || settings.dt_most < kNoStepLimit) {
    result["time_step_limit.0"] = settings.dt_least;
    result["time_step_limit.1"] = settings.dt_most;
  }
  return result;
}

}  // namespace longwave::models
