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

/// Options of the start of step sizes, which both families share.
void read_steps(PublishedReader& reader, const std::string& family, Options& options) {
  const auto set = [&](const char* ours, const char* theirs) {
    const std::string key = family + "." + ours;
    options.set(key, reader.real(std::string("ssm_cfg.") + theirs, options.real(key)), kWhere);
  };
  set("dt_min", "dt_min");
  set("dt_max", "dt_max");
  set("dt_floor", "dt_init_floor");
  for (const auto& [ours, theirs] :
       {std::pair{"state", "d_state"}, {"width", "d_conv"}, {"expand", "expand"}}) {
    const std::string key = family + "." + ours;
    options.set(key, reader.integer(std::string("ssm_cfg.") + theirs, options.integer(key)),
                kWhere);
  }
  for (const char* name : {"conv_bias", "bias"}) {
    const std::string key = family + "." + name;
    options.set(key, reader.flag(std::string("ssm_cfg.") + name, options.flag(key)), kWhere);
  }
}

void read_mamba(PublishedReader& reader, Options& options) {
  reader.pass_over({"ssm_cfg.use_fast_path"});
  options.set("mamba.dt_init", reader.text("ssm_cfg.dt_init", "random"), kWhere);
  options.set("mamba.dt_scale", reader.real("ssm_cfg.dt_scale", 1), kWhere);
  const std::string rank = "ssm_cfg.dt_rank";
  if (reader.says(rank, std::string("auto"))) return;
  options.set("mamba.dt_rank", reader.integer(rank, int64_t{0}), kWhere);
}

void read_mamba2(PublishedReader& reader, int64_t channels, Options& options) {
  reader.pass_over({"ssm_cfg.use_mem_eff_path", "ssm_cfg.chunk_size", "ssm_cfg.conv_init",
                    "ssm_cfg.sequence_parallel"});
  options.set("mamba2.head_dim", reader.integer("ssm_cfg.headdim", int64_t{64}), kWhere);
  options.set("mamba2.groups", reader.integer("ssm_cfg.ngroups", int64_t{1}), kWhere);
  reader.must_be("ssm_cfg.d_ssm", options.integer("mamba2.expand") * channels);
  if (reader.flag("ssm_cfg.D_has_hdim", false)) {
    options.set("mamba2.skip", std::string("channel"), kWhere);
  }
  const bool before = reader.flag("ssm_cfg.norm_before_gate", false);
  const bool norm = reader.flag("ssm_cfg.rmsnorm", true);
  options.set("mamba2.norm",
              std::string(!norm    ? "none"
                          : before ? "before_gate"
                                   : "after_gate"),
              kWhere);
  options.set("mamba2.A_min", reader.real("ssm_cfg.A_init_range.0", 1), kWhere);
  options.set("mamba2.A_max", reader.real("ssm_cfg.A_init_range.1", 16), kWhere);
  options.set("mamba2.dt_least", reader.real("ssm_cfg.dt_limit.0", 0), kWhere);
  options.set("mamba2.dt_most",
              std::min(kNoStepLimit, reader.real("ssm_cfg.dt_limit.1", kNoStepLimit)), kWhere);
}

}  // namespace

Config from_state_spaces(PublishedReader& reader) {
  const std::string layer = reader.text("ssm_cfg.layer", "Mamba1");
  if (layer != "Mamba1" && layer != "Mamba2") {
    reader.refuse("ssm_cfg.layer", "this is not supported", "only Mamba1 and Mamba2 are");
  }
  const std::string family = layer == "Mamba1" ? "mamba" : "mamba2";
  const int64_t channels = reader.integer("d_model");
  Options options = published_options(family, reader.integer("n_layer"));
  options.set("model.d_model", channels, kWhere);
  options.set("model.family", family, kWhere);
  if (!reader.flag("rms_norm", true)) options.set("model.norm", std::string("layer"), kWhere);
  options.set("model.tie", reader.flag("tie_embeddings", true), kWhere);
  reader.must_be("d_intermediate", int64_t{0});
  // What remains changes how numbers are stored and which kernels run.
  reader.pass_over({"residual_in_fp32", "fused_add_norm", "attn_cfg"});
  read_steps(reader, family, options);
  if (family == "mamba") {
    read_mamba(reader, options);
  } else {
    read_mamba2(reader, channels, options);
  }
  const int64_t vocabulary = reader.integer("vocab_size");
  const int64_t multiple = reader.integer("pad_vocab_size_multiple", int64_t{8});
  constexpr int64_t kMost = int64_t{1} << 24;
  if (vocabulary < 1 || vocabulary > kMost) reader.refuse("vocab_size", "is out of range");
  if (multiple < 1 || multiple > kMost) reader.refuse("pad_vocab_size_multiple", "is out of range");
  const int64_t padded = (vocabulary + multiple - 1) / multiple * multiple;
  return {{.input = Interface::Input::kTokens,
           .input_size = padded,
           .output = Interface::Output::kStep,
           .output_size = padded},
          options};
}

PublishedConfig to_state_spaces(const Config& config) {
  const Options& options = config.options;
  const std::string family = layers_of(options.text("model.pattern")).front();
  const Options mixer = options.section(family);
  PublishedConfig result = {
      {"d_model", options.at("model.d_model")},
      {"n_layer", static_cast<int64_t>(layers_of(options.text("model.pattern")).size())},
      {"vocab_size", config.interface.input_size},
      {"pad_vocab_size_multiple", int64_t{1}},
      {"rms_norm", options.text("model.norm") == "rms"},
      {"residual_in_fp32", true},
      {"fused_add_norm", true},
      {"tie_embeddings", options.at("model.tie")},
      {"ssm_cfg.layer", std::string(family == "mamba" ? "Mamba1" : "Mamba2")},
      {"ssm_cfg.d_state", mixer.at("state")},
      {"ssm_cfg.d_conv", mixer.at("width")},
      {"ssm_cfg.expand", mixer.at("expand")},
      {"ssm_cfg.conv_bias", mixer.at("conv_bias")},
      {"ssm_cfg.bias", mixer.at("bias")},
      {"ssm_cfg.dt_min", mixer.at("dt_min")},
      {"ssm_cfg.dt_max", mixer.at("dt_max")},
      {"ssm_cfg.dt_init_floor", mixer.at("dt_floor")}};
  if (family == "mamba") {
    result["ssm_cfg.dt_init"] = mixer.at("dt_init");
    result["ssm_cfg.dt_scale"] = mixer.at("dt_scale");
    if (mixer.integer("dt_rank") > 0) result["ssm_cfg.dt_rank"] = mixer.at("dt_rank");
    return result;
  }
  const mixers::mamba2::Settings settings(mixer, options.integer("model.d_model"));
  if (settings.has_norm && settings.norm_groups != settings.groups) {
    throw ConfigError({.where = "mamba2.norm_groups",
                       .what = "the state-spaces form cannot say this",
                       .got = std::to_string(settings.norm_groups),
                       .fix = "it has one norm a group of heads: mamba2.norm_groups = 0"});
  }
  result["ssm_cfg.headdim"] = settings.head_dim;
  result["ssm_cfg.ngroups"] = settings.groups;
  result["ssm_cfg.D_has_hdim"] = settings.skip_per_channel;
  result["ssm_cfg.rmsnorm"] = settings.has_norm;
  result["ssm_cfg.norm_before_gate"] = mixer.text("norm") == "before_gate";
  result["ssm_cfg.A_init_range.0"] = mixer.at("A_min");
  result["ssm_cfg.A_init_range.1"] = mixer.at("A_max");
  if (settings.dt_least > 0 || settings.dt_most < kNoStepLimit) {
    result["ssm_cfg.dt_limit.0"] = settings.dt_least;
    result["ssm_cfg.dt_limit.1"] = settings.dt_most;
  }
  return result;
}

}  // namespace longwave::models
