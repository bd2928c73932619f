// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/mixers/selective_init.h"

namespace longwave::mixers::mamba2 {
namespace {

/// The widest head of at most 64 channels that divides them.
int64_t usual_head_dim(int64_t inner) {
  int64_t head_dim = std::min<int64_t>(inner, 64);
  while (inner % head_dim != 0) --head_dim;
  return head_dim;
}

void require_multiple(const char* what, int64_t whole, int64_t part) {
  if (part >= 1 && whole % part == 0) return;
  throw ConfigError({.where = "mamba2",
                     .what = std::string(what),
                     .got = std::to_string(part) + " for " + std::to_string(whole),
                     .fix = "choose a divisor of " + std::to_string(whole)});
}

void check(const Options& options, const Settings& settings) {
  require_multiple("head_dim must divide the channels of the scan", settings.inner,
                   settings.head_dim);
  require_multiple("groups must divide the number of heads", settings.heads, settings.groups);
  require_multiple("norm_groups must divide the channels of the scan", settings.inner,
                   settings.norm_groups);
  if (settings.dt_least > settings.dt_most) {
    throw ConfigError({.where = "mamba2",
                       .what = "dt_least must not exceed dt_most",
                       .got = {},
                       .fix = "swap them"});
  }
  if (options.real("A_min") > options.real("A_max")) {
    throw ConfigError(
        {.where = "mamba2", .what = "A_min must not exceed A_max", .got = {}, .fix = "swap them"});
  }
}

}  // namespace

Settings::Settings(const Options& options, int64_t channel_count)
    : channels(channel_count),
      inner(options.integer("inner") == 0 ? options.integer("expand") * channel_count
                                          : options.integer("inner")),
      head_dim(options.integer("head_dim") == 0 ? usual_head_dim(inner)
                                                : options.integer("head_dim")),
      heads(inner / head_dim),
      groups(options.integer("groups")),
      state(options.integer("state")),
      width(options.integer("width")),
      conv_bias(options.flag("conv_bias")),
      bias(options.flag("bias")),
      skip_per_channel(options.text("skip") == "channel"),
      has_norm(options.text("norm") != "none"),
      norm_groups(options.integer("norm_groups") == 0 ? groups : options.integer("norm_groups")),
      order(options.text("norm") == "before_gate" ? ops::GateOrder::kAfter
                                                  : ops::GateOrder::kBefore),
      norm_epsilon(static_cast<float>(options.real("norm_epsilon"))),
      dt_least(options.real("dt_least")),
      dt_most(options.real("dt_most")),
      multipliers({.in = options.real("in_multiplier"),
                   .z = options.real("z_multiplier"),
                   .x = options.real("x_multiplier"),
                   .B = options.real("B_multiplier"),
                   .C = options.real("C_multiplier"),
                   .dt = options.real("dt_multiplier"),
                   .out = options.real("out_multiplier")}) {
  check(options, *this);
}

Schema schema() {
  Schema schema = {
      {"state", int64_t{128}, "state dimension N of a channel of the scan", 1, 65536},
      {"expand", int64_t{2}, "channels of the scan, in multiples of those of the layer", 1, 64},
      {"inner", int64_t{0}, "channels of the scan, as a number; 0 = expand times the channels", 0,
       1 << 24},
      {"head_dim", int64_t{0}, "channels of a head; 0 = 64, or the next divisor below", 0, 65536},
      {"groups", int64_t{1}, "groups of heads that share B and C", 1, 65536},
      {"width", int64_t{4}, "taps of the convolution before the scan", 1, 128},
      {"conv_bias", true, "whether the convolution has a bias"},
      {"bias", false, "whether the projections in and out have biases"},
      {.key = "skip",
       .value = std::string("head"),
       .help = "whether each head or each channel has a D of its own",
       .choices = {"head", "channel"}},
      {.key = "norm",
       .value = std::string("after_gate"),
       .help = "rms norm of the output: after the gate, before it, or only the gate",
       .choices = {"after_gate", "before_gate", "none"}},
      {"norm_groups", int64_t{0}, "groups of channels with a norm each; 0 = groups, 1 = all", 0,
       65536},
      {"norm_epsilon", 1e-5, "added to the mean square of the norm before the root", 1e-12, 1},
      {"A_min", 1.0, "smallest initial decay rate", 1e-9, 1e9},
      {"A_max", 16.0, "largest initial decay rate", 1e-9, 1e9},
      {"dt_least", 0.0, "step sizes below this are raised to it, in training and after", 0, 1e9},
      {"dt_most", 1e9, "step sizes above this are lowered to it, in training and after", 0, 1e9},
  };
  for (const auto& [part, what] : {std::pair{"in", "the input"},
                                   {"z", "the gate z"},
                                   {"x", "what is convolved and scanned, x,"},
                                   {"B", "what B is made of"},
                                   {"C", "what C is made of"},
                                   {"dt", "what step sizes are made of"},
                                   {"out", "the output"}}) {
    schema.push_back({std::string(part) + "_multiplier", 1.0,
                      "multiplies " + std::string(what) + " of the layer", -1e6, 1e6});
  }
  Schema step = step_size_options();
  schema.insert(schema.end(), step.begin(), step.end());
  return schema;
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Settings settings(options, channels);
  const int64_t inner = settings.inner, heads = settings.heads;
  const auto uniform = [](int64_t inputs) {
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    return uniform_init(-bound, bound);
  };
  const auto A_log = [init = uniform_init(options.real("A_min"), options.real("A_max"))](
                         std::span<float> out, Random& random) {
    init(out, random);
    for (float& value : out) value = std::log(value);
  };
  ParameterTable table = {
      {"in_proj.weight",
       {settings.projected(), channels},
       ParameterGroup::kMain,
       uniform(channels),
       Storage::kMatrix},
      {"conv1d.weight",
       {settings.convolved(), 1, settings.width},
       ParameterGroup::kMain,
       uniform(settings.width)},
      {"dt_bias", {heads}, ParameterGroup::kSsm, step_size_bias_init("mamba2", options)},
      {"A_log", {heads}, ParameterGroup::kSsm, A_log},
      {"D",
       {settings.skip_per_channel ? inner : heads},
       ParameterGroup::kNoDecay,
       constant_init(1)},
  };
  if (settings.has_norm) {
    table.push_back({"norm.weight", {inner}, ParameterGroup::kNoDecay, constant_init(1)});
  }
  table.push_back({"out_proj.weight",
                   {channels, inner},
                   ParameterGroup::kMain,
                   uniform(inner),
                   Storage::kMatrix});
  if (settings.conv_bias) {
    table.push_back(
        {"conv1d.bias", {settings.convolved()}, ParameterGroup::kNoDecay, uniform(settings.width)});
  }
  if (settings.bias) {
    table.push_back(
        {"in_proj.bias", {settings.projected()}, ParameterGroup::kNoDecay, constant_init(0)});
    table.push_back({"out_proj.bias", {channels}, ParameterGroup::kNoDecay, constant_init(0)});
  }
  return table;
}

}  // namespace longwave::mixers::mamba2
