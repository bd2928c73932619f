// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "longwave/base/error.h"
#include "longwave/mixers/parallel.h"
#include "longwave/models/pattern.h"
#include "longwave/models/sequence_model.h"
#include "longwave/models/shared_transformer.h"
#include "longwave/nn/moe.h"

namespace longwave::models {

Schema model_schema() {
  return {
      {.key = "pattern",
       .value = "s4d*4",
       .help = "layers by family, in order: \"s4d*4\", \"(mamba*3 attention)*2\", and beside each "
               "other: \"mamba2+attention*4\"; and behind a | "
               "what follows the mixer in which layers: \"mamba*8 | moe every 2, mlp\""},
      {.key = "family",
       .value = "",
       .help = "model_type of the published family that the model is one of, which decides how "
               "convert --to hf writes it; empty: mamba or mamba2, found from the pattern"},
      {.key = "d_model",
       .value = int64_t{64},
       .help = "channels of every layer",
       .least = 1,
       .most = 65536},
      {.key = "norm",
       .value = "layer",
       .help = "normalisation: each step (layer, rms) or each channel over the batch (batch)",
       .choices = {"layer", "rms", "batch"}},
      {.key = "norm_epsilon",
       .value = 1e-5,
       .help = "added to variances and mean squares before the root",
       .least = 1e-12,
       .most = 1},
      {.key = "prenorm",
       .value = true,
       .help = "normalise the input of each residual branch (true) or the sum after it (false)"},
      {.key = "activation",
       .value = "gelu",
       .help = "function between a mixer and the mixing of channels",
       .choices = {"gelu", "silu", "none"}},
      {.key = "mixing",
       .value = "glu",
       .help = "mixing of channels after a mixer: S4 uses glu, S5 half_glu1 or half_glu2",
       .choices = {"glu", "half_glu1", "half_glu2", "linear", "none"}},
      {.key = "mlp",
       .value = int64_t{0},
       .help = "hidden channels of an MLP after each mixer, in multiples of d_model; 0 = no MLP",
       .least = 0,
       .most = 64},
      {.key = "hidden",
       .value = int64_t{0},
       .help = "hidden channels of an MLP or an expert, as a number; 0 = mlp times d_model",
       .least = 0,
       .most = 1 << 20},
      {.key = "mlp_kind",
       .value = "gelu",
       .help =
           "gelu: two linear layers; swiglu: a gated unit, half as many parameters again; "
           "geglu: as swiglu with the exact GELU, not for training; relu2: as gelu with a squared "
           "ramp, not for training",
       .choices = {"gelu", "swiglu", "geglu", "relu2"}},
      {.key = "mlp_bias",
       .value = true,
       .help = "whether the two products of an MLP have biases; experts have none"},
      {.key = "embedding_multiplier",
       .value = 1.0,
       .help = "multiplies the rows that tokens are read in by",
       .least = -1e6,
       .most = 1e6},
      {.key = "residual_multiplier",
       .value = 1.0,
       .help = "multiplies what each residual branch adds",
       .least = -1e6,
       .most = 1e6},
      {.key = "logits_multiplier",
       .value = 1.0,
       .help = "multiplies the last product",
       .least = -1e6,
       .most = 1e6},
      {.key = "gate_multiplier",
       .value = 1.0,
       .help = "multiplies the gates of gated MLPs before their activation",
       .least = -1e6,
       .most = 1e6},
      {.key = "down_multiplier",
       .value = 1.0,
       .help = "multiplies what MLPs answer",
       .least = -1e6,
       .most = 1e6},
      {.key = "tie",
       .value = false,
       .help = "read tokens out by the matrix that they are read in by, which starts small; needs "
               "tokens in and out"},
      {.key = "vocabulary",
       .value = int64_t{0},
       .help =
           "tokens that the model knows, where it takes and gives tokens; 0 = those of the data",
       .least = 0,
       .most = 1 << 24},
      {.key = "head_bias",
       .value = true,
       .help = "whether answers have a bias of their own; published language models have none"},
      {.key = "scale_branches",
       .value = false,
       .help = "divide the start of each branch's last product by the root of their number, as "
               "language models do"},
      {.key = "dropout",
       .value = 0.0,
       .help = "share of channels dropped at the end of each residual branch in training",
       .least = 0,
       .most = 0.95},
      {.key = "dropout_tied",
       .value = true,
       .help = "drop a channel for the whole sequence (true) or for single steps (false)"},
      {.key = "pool",
       .value = "mean",
       .help = "what the answer of a sequence is read from: the mean over its steps or the last",
       .choices = {"mean", "last"}},
  };
}

std::vector<std::string> layers_of(const std::string& pattern) {
  std::vector<std::string> families;
  for (const Pattern::Layer& layer : parse_pattern(pattern).layers) {
    families.push_back(layer.family);
  }
  return families;
}

Schema config_schema(const std::string& pattern) {
  Schema schema = in_section("model", model_schema());
  std::ranges::find(schema, "model.pattern", &Option::key)->value = pattern;
  const Pattern layers = parse_pattern(pattern);
  if (std::ranges::any_of(layers.layers, [](const Pattern::Layer& layer) {
        return layer.after == AfterMixer::kMoe;
      })) {
    const Schema section = in_section("moe", nn::moe_schema());
    schema.insert(schema.end(), section.begin(), section.end());
  }
  std::set<std::string> done;
  const bool shares = std::ranges::any_of(layers.layers, &Pattern::Layer::shared);
  if (shares) {
    const Schema section = in_section("shared", shared_schema());
    schema.insert(schema.end(), section.begin(), section.end());
  }
  std::vector<std::string> mixers_of_layers = layers_of(pattern);
  if (shares) mixers_of_layers.push_back("attention");
  for (const std::string& layer : mixers_of_layers) {
    if (layer.empty()) continue;
    for (const std::string& family : mixers::families_of_layer(layer)) {
      if (!done.insert(family).second) continue;
      const Schema section = in_section(family, mixers::family(family).schema());
      schema.insert(schema.end(), section.begin(), section.end());
    }
  }
  return schema;
}

void check_trainable(const Config& config) {
  const Schema schema = model_schema();
  const auto must_be_usual = [&](const std::string& key, const Value& usual) {
    if (!config.options.has(key) || config.options.at(key) == usual) return;
    throw ConfigError({.where = key,
                       .what = "models with this option run, but cannot be trained yet",
                       .got = to_string(config.options.at(key)),
                       .fix = "leave it at " + to_string(usual)});
  };
  for (const char* name : {"norm_epsilon", "mlp_bias"}) {
    must_be_usual("model." + std::string(name),
                  std::ranges::find(schema, name, &Option::key)->value);
  }
  for (const Option& option : config.options.schema()) {
    if (option.key.ends_with("_multiplier")) must_be_usual(option.key, 1.0);
  }
  const std::string& pattern = config.options.text("model.pattern");
  const std::vector<std::string> layers = layers_of(pattern);
  if (std::ranges::find(layers, "") != layers.end()) {
    throw ConfigError({.where = "model.pattern",
                       .what = "models with layers without a mixer run, but cannot be trained yet",
                       .got = "\"" + pattern + "\"",
                       .fix = "put the MLP or the experts behind a mixer"});
  }
  must_be_usual("moe.shared", int64_t{0});
  must_be_usual("moe.hidden", int64_t{0});
  must_be_usual("moe.scale", 1.0);
  must_be_usual("moe.router", std::string("softmax"));
  must_be_usual("mamba.selection_norm", std::string("none"));
  const std::string& kind = config.options.text("model.mlp_kind");
  if (kind == "relu2" || kind == "geglu") {
    must_be_usual("model.mlp_kind", std::string("gelu"));
  }
  must_be_usual("mamba2.norm_epsilon", 1e-5);
  if (pattern.find_first_of("+>") == std::string::npos) return;
  throw ConfigError({.where = "model.pattern",
                     .what = "layers beside each other or shared run, but cannot be trained yet",
                     .got = "\"" + pattern + "\"",
                     .fix = "put layers of their own one after the other"});
}

Config make_config(const Interface& interface, const Options& settings) {
  const std::string pattern = settings.text("model.pattern");
  Config config{interface, Options(config_schema(pattern))};
  for (const Option& option : config.options.schema()) {
    if (settings.has(option.key)) config.options.set(option.key, settings.at(option.key), "model");
  }
  return config;
}

}  // namespace longwave::models
