// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/transformers_keys.h"

#include <utility>

#include "longwave/models/pattern.h"

namespace longwave::models {

void pass_over_common(PublishedReader& reader) {
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
                    "chunk_size_feed_forward"});
}

void require_silu(PublishedReader& reader, const char* key) {
  const std::string activation = reader.text(key, "silu");
  if (activation == "silu" || activation == "swish") return;
  reader.refuse(key, "this is not supported", "only \"silu\" is");
}

void read_mamba_keys(PublishedReader& reader, const std::string& mixer, Options& options) {
  for (const auto& [ours, theirs] :
       {std::pair{"state", "state_size"}, {"width", "conv_kernel"}, {"expand", "expand"}}) {
    const std::string key = mixer + "." + ours;
    options.set(key, reader.integer(theirs, options.integer(key)), kConfigName);
  }
  for (const auto& [ours, theirs] : {std::pair{"dt_min", "time_step_min"},
                                     {"dt_max", "time_step_max"},
                                     {"dt_floor", "time_step_floor"}}) {
    const std::string key = mixer + "." + ours;
    options.set(key, reader.real(theirs, options.real(key)), kConfigName);
  }
  options.set(mixer + ".conv_bias", reader.flag("use_conv_bias", true), kConfigName);
  options.set(mixer + ".bias", reader.flag("use_bias", false), kConfigName);
  require_silu(reader, "hidden_act");
  options.set("model.norm_epsilon", reader.real("layer_norm_epsilon", 1e-5), kConfigName);
  reader.must_be("intermediate_size",
                 options.integer(mixer + ".expand") * options.integer("model.d_model"));
  // Early conversions kept these of the original project; transformers does not read them.
  reader.pass_over({"norm_before_gate", "d_inner", "d_model", "n_layer", "ssm_cfg", "rms_norm",
                    "fused_add_norm", "pad_vocab_size_multiple"});
}

void read_step_rank(PublishedReader& reader, Options& options) {
  options.set("mamba.dt_init", reader.text("time_step_init_scheme", "random"), kConfigName);
  options.set("mamba.dt_scale", reader.real("time_step_scale", 1), kConfigName);
  if (reader.says("time_step_rank", std::string("auto"))) return;
  options.set("mamba.dt_rank", reader.integer("time_step_rank", int64_t{0}), kConfigName);
}

PublishedConfig write_mamba_keys(const Options& options, const std::string& mixer) {
  const Options section = options.section(mixer);
  const std::vector<std::string> layers = layers_of(options.text("model.pattern"));
  return {{"hidden_size", options.at("model.d_model")},
          {"num_hidden_layers", static_cast<int64_t>(layers.size())},
          {"layer_norm_epsilon", options.at("model.norm_epsilon")},
          {"hidden_act", std::string("silu")},
          {"residual_in_fp32", true},
          {"state_size", section.at("state")},
          {"conv_kernel", section.at("width")},
          {"expand", section.at("expand")},
          {"use_conv_bias", section.at("conv_bias")},
          {"use_bias", section.at("bias")},
          {"time_step_min", section.at("dt_min")},
          {"time_step_max", section.at("dt_max")},
          {"time_step_floor", section.at("dt_floor")}};
}

void write_step_rank(const Options& options, PublishedConfig& config) {
  const int64_t rank = options.integer("mamba.dt_rank");
  config["time_step_rank"] = rank > 0 ? Value(rank) : Value(std::string("auto"));
  config["time_step_init_scheme"] = options.at("mamba.dt_init");
  config["time_step_scale"] = options.at("mamba.dt_scale");
  config["intermediate_size"] = options.integer("mamba.expand") * options.integer("model.d_model");
}

void place_backbone(TensorMap& map, const std::string& embedding) {
  map.whole("encoder.weight", "backbone." + embedding);
  map.below("layers.", "backbone.layers.");
  map.below("norm.", "backbone.norm_f.");
  map.whole("decoder.weight", "lm_head.weight");
}

}  // namespace longwave::models
