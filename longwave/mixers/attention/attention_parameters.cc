// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/mixers/attention/attention.h"
#include "longwave/ops/attention/rotary.h"

namespace longwave::mixers::attention {
namespace {

/// The widest head of at most 64 channels that divides them.
int64_t usual_head_dim(int64_t channels) {
  int64_t head_dim = std::min<int64_t>(channels, 64);
  while (channels % head_dim != 0) --head_dim;
  return head_dim;
}

void require_multiple(const char* what, int64_t whole, int64_t part) {
  if (part >= 1 && whole % part == 0) return;
  throw ConfigError({.where = "attention",
                     .what = what,
                     .got = std::to_string(part) + " for " + std::to_string(whole),
                     .fix = "choose a divisor of " + std::to_string(whole)});
}

/// Numbers of a head that turn: whole pairs.
int64_t turned_dims(const Options& options, int64_t head_dim) {
  if (options.real("rotary_base") == 0) return 0;
  const double turned = options.real("rotary_part") * static_cast<double>(head_dim);
  return static_cast<int64_t>(turned) / 2 * 2;
}

}  // namespace

Shapes::Shapes(const Options& options, int64_t channel_count)
    : channels(channel_count),
      outputs(channel_count),
      head_dim(options.integer("head_dim") == 0 ? usual_head_dim(channel_count)
                                                : options.integer("head_dim")),
      heads(options.integer("heads") == 0 ? std::max<int64_t>(channel_count / head_dim, 1)
                                          : options.integer("heads")),
      kv_heads(options.integer("kv_heads") == 0 ? heads : options.integer("kv_heads")),
      window(options.integer("window")),
      all_positions(options.integer("positions") > 0),
      scale(options.real("scale") == 0 ? 1 / std::sqrt(static_cast<double>(head_dim))
                                       : options.real("scale")),
      rotary_base(options.real("rotary_base")),
      rotary_dims(turned_dims(options, head_dim)),
      bias(options.flag("bias")),
      multipliers({.in = options.real("in_multiplier"),
                   .key = options.real("key_multiplier"),
                   .out = options.real("out_multiplier")}) {
  if (all_positions && window > options.integer("positions")) {
    throw ConfigError(
        {.where = "attention.window",
         .what = "the model does not know so many positions",
         .got = std::to_string(window) + " of " + std::to_string(options.integer("positions")),
         .fix = "lower it, or the context that was asked for"});
  }
  require_multiple("kv_heads must divide the number of heads", heads, kv_heads);
  if (rotary_dims <= ops::kRotaryMaxDims) return;
  throw ConfigError({.where = "attention",
                     .what = "heads are too wide for rotary positions",
                     .got = std::to_string(head_dim) + " channels",
                     .fix = "set head_dim to at most " + std::to_string(ops::kRotaryMaxDims)});
}

Schema schema() {
  return {
      {"heads", int64_t{0}, "heads of queries; 0 = channels / head_dim", 0, 65536},
      {"kv_heads", int64_t{0}, "heads of keys and values, shared among queries; 0 = heads", 0,
       65536},
      {"head_dim", int64_t{0}, "channels of a head; 0 = 64, or the next divisor below", 0, 65536},
      {"window", int64_t{2048},
       "positions that a step sees, itself included: the state holds so many keys and values", 1,
       1 << 24},
      {"positions", int64_t{0},
       "positions that the model can tell apart if a step has to see all that were before it: then "
       "no sequence goes beyond the window; 0 = no limit, what leaves the window is forgotten",
       0, 1 << 30},
      {"rotary_base", 10000.0, "base of the rotary position encoding; 0 = no encoding", 0, 1e12},
      {"rotary_part", 1.0, "share of a head's channels that the encoding turns, the first ones", 0,
       1},
      {"scale", 0.0, "multiplies products of queries and keys; 0 = 1 / root of head_dim", 0, 1e6},
      {"bias", false, "whether the projections in and out have biases"},
      {"in_multiplier", 1.0, "multiplies the input of the layer", -1e6, 1e6},
      {"key_multiplier", 1.0, "multiplies keys", -1e6, 1e6},
      {"out_multiplier", 1.0, "multiplies the output of the layer", -1e6, 1e6},
  };
}

std::vector<std::pair<const char*, nn::AdapterShape>> Shapes::adapters(int64_t rank) const {
  const nn::AdapterShape queries = {.rank = rank, .inputs = channels, .outputs = heads * head_dim};
  const nn::AdapterShape keys = {.rank = rank, .inputs = channels, .outputs = kv_heads * head_dim};
  return {{"q", queries}, {"k", keys}, {"v", keys}};
}

ParameterTable parameters(const Options& options, int64_t channels) {
  return parameters(Shapes(options, channels));
}

ParameterTable parameters(const Shapes& shapes) {
  const int64_t inner = shapes.heads * shapes.head_dim;
  const auto uniform = [](int64_t inputs) {
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    return uniform_init(-bound, bound);
  };
  ParameterTable table = {
      {"in_proj.weight",
       {shapes.projected(), shapes.channels},
       ParameterGroup::kMain,
       uniform(shapes.channels),
       Storage::kMatrix},
      {"out_proj.weight",
       {shapes.outputs, inner},
       ParameterGroup::kMain,
       uniform(inner),
       Storage::kMatrix},
  };
  if (shapes.bias) {
    table.push_back(
        {"in_proj.bias", {shapes.projected()}, ParameterGroup::kNoDecay, constant_init(0)});
    table.push_back(
        {"out_proj.bias", {shapes.outputs}, ParameterGroup::kNoDecay, constant_init(0)});
  }
  return table;
}

}  // namespace longwave::mixers::attention
