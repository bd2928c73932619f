// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/multipliers.h"
#include "longwave/mixers/option_checks.h"
#include "longwave/mixers/projection.h"
#include "longwave/ops/attention/attention.h"
#include "longwave/ops/attention/rotary.h"

namespace longwave::mixers::attention {
namespace {

constexpr double kHigh = 1 << 20;

/// Steps that are worked on at once: enough rows for a fast product, few enough for the cache.
int64_t block_steps(int64_t batch, int64_t time) {
  constexpr int64_t kRows = 1024, kLeast = 64;
  return std::min(time, std::max(kLeast, kRows / std::max<int64_t>(batch, 1)));
}

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

class Attention : public Mixer {
 public:
  Attention(const Shapes& shapes, const Weights& weights, std::vector<nn::Adapter> adapters)
      : shapes_(shapes),
        weights_(weights),
        adapters_(std::move(adapters)),
        in_proj_(weights.matrix("in_proj.weight", {shapes.projected(), shapes.channels})),
        out_proj_(
            weights.matrix("out_proj.weight", {shapes.outputs, shapes.heads * shapes.head_dim})) {
    make_multipliers();
  }

  int64_t channels() const override { return shapes_.channels; }
  int64_t outputs() const override { return shapes_.outputs; }
  int64_t state_size() const override { return shapes_.state_size(); }
  bool packs() const override { return true; }
  int64_t steps_left(View<const float, 1> state) const override {
    if (!shapes_.all_positions) return Mixer::steps_left(state);
    return std::max<int64_t>(shapes_.window - position_of(state.data() + 2 * shapes_.ring_size()),
                             0);
  }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "attention");
    prefill(as_prefill(args), workspace);
  }

 private:
  void make_multipliers();
  /// Heads [first, first + count) of the steps' projections.
  View<float, 4> heads(View<float, 3> projected, int64_t first, int64_t count) const {
    return {projected.data() + first * shapes_.head_dim,
            {projected.extent(0), projected.extent(1), count, shapes_.head_dim},
            {projected.stride(0), projected.stride(1), shapes_.head_dim, 1}};
  }
  View<float, 4> ring(const Prefill& block, int64_t begin) const {
    return {block.state.data() + begin,
            {block.state.extent(0), shapes_.window, shapes_.kv_heads, shapes_.head_dim},
            {block.state.stride(0), shapes_.kv_heads * shapes_.head_dim, shapes_.head_dim, 1}};
  }
  /// Adds what the adapters make of u.
  void adapt(View<const float, 3> u, View<float, 3> projected, Workspace& workspace) const;
  void rotate(View<float, 4> x, View<const int64_t, 1> seen, View<const uint8_t, 2> starts) const;
  /// Some steps of the sequence: the views hold these only.
  void run(const Prefill& block, View<int64_t, 1> seen, Workspace& workspace) const;
  void forget_earlier_sequences(const Prefill& block, View<const int64_t, 1> seen) const;

  Shapes shapes_;
  Weights weights_;                    // keeps alive what the views look at
  std::vector<nn::Adapter> adapters_;  // of queries, keys and values, or none
  Matrix in_proj_, out_proj_;
  Multipliers in_, out_;  // with the biases of the projections
};

void Attention::make_multipliers() {
  View<const float, 1> in_bias, out_bias;
  if (shapes_.bias) {
    in_bias = weights_.view<1>("in_proj.bias", {shapes_.projected()});
    out_bias = weights_.view<1>("out_proj.bias", {shapes_.outputs});
  }
  const Shapes::PartMultipliers& m = shapes_.multipliers;
  const int64_t queries = shapes_.heads * shapes_.head_dim;
  const int64_t keys = shapes_.kv_heads * shapes_.head_dim;
  in_ = Multipliers({{queries, m.in, 1}, {keys, m.in, m.key}, {keys, m.in, 1}}, in_bias);
  out_ = Multipliers({{shapes_.outputs, 1, m.out}}, out_bias);
}

size_t Attention::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t steps = block_steps(batch, time), rows = batch * steps;
  size_t adapting = 0;
  for (const nn::Adapter& adapter : adapters_) {
    adapting = std::max(adapting, adapter.workspace_bytes(steps));
  }
  return adapting + Workspace::bytes_for<int64_t>(batch) +
         Workspace::bytes_for<float>(rows * shapes_.projected()) +
         Workspace::bytes_for<float>(rows * shapes_.heads * shapes_.head_dim) +
         ops::attention_workspace_bytes(
             {.heads = shapes_.heads, .kv_heads = shapes_.kv_heads, .head_dim = shapes_.head_dim});
}

void Attention::adapt(View<const float, 3> u, View<float, 3> projected,
                      Workspace& workspace) const {
  int64_t begin = 0;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const int64_t size = (i == 0 ? shapes_.heads : shapes_.kv_heads) * shapes_.head_dim;
    for (int64_t b = 0; b < u.extent(0); ++b) {
      adapters_[i].add(u[b], projected[b].slice(1, begin, size), workspace);
    }
    begin += size;
  }
}

/// Turns heads by the positions of their steps, which count from each start.
void Attention::rotate(View<float, 4> x, View<const int64_t, 1> seen,
                       View<const uint8_t, 2> starts) const {
  if (shapes_.rotary_dims == 0) return;
  const auto turn = [&](View<float, 4> part, View<const int64_t, 1> first) {
    ops::rotary<float>({.base = shapes_.rotary_base,
                        .dims = shapes_.rotary_dims,
                        .start = first,
                        .x = part,
                        .y = part});
  };
  if (starts.absent()) return turn(x, seen);
  for (int64_t b = 0; b < x.extent(0); ++b) {
    int64_t begin = 0, end = 0;
    while (begin < x.extent(1)) {
      do ++end;
      while (end < x.extent(1) && starts(b, end) == 0);
      turn(x.slice(0, b, 1).slice(1, begin, end - begin),
           starts(b, begin) != 0 ? View<const int64_t, 1>() : seen.slice(0, b, 1));
      begin = end;
    }
  }
}

/// Slots that the last sequence has not filled must not tell what came before it.
void Attention::forget_earlier_sequences(const Prefill& block, View<const int64_t, 1> seen) const {
  if (block.starts.absent()) return;
  const int64_t slot = shapes_.kv_heads * shapes_.head_dim;
  for (int64_t b = 0; b < seen.extent(0); ++b) {
    const bool started =
        seen(b) <= block.u.extent(1) && block.starts(b, block.u.extent(1) - seen(b)) != 0;
    if (!started || seen(b) >= shapes_.window) continue;
    for (int64_t begin : {int64_t{0}, shapes_.ring_size()}) {
      float* ring = block.state[b].data() + begin;
      std::fill(ring + seen(b) * slot, ring + shapes_.ring_size(), 0.0f);
    }
  }
}

void Attention::run(const Prefill& block, View<int64_t, 1> seen, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = block.u.extent(0), time = block.u.extent(1);
  const auto take = [&](int64_t size) {
    return View<float, 3>(workspace.take<float>(batch * time * size).data(), {batch, time, size});
  };
  const View<float, 3> projected = take(shapes_.projected());
  const View<float, 3> y = take(shapes_.heads * shapes_.head_dim);
  project({.x = block.u, .W = in_proj_, .b = in_.bias(), .y = projected});
  adapt(block.u, projected, workspace);
  in_.apply(projected);
  // Queries and keys turn alike and lie side by side.
  rotate(heads(projected, 0, shapes_.heads + shapes_.kv_heads), seen, block.starts);
  const View<float, 4> k = heads(projected, shapes_.heads, shapes_.kv_heads);
  const View<float, 4> v = heads(projected, shapes_.heads + shapes_.kv_heads, shapes_.kv_heads);
  const View<float, 4> ring_k = ring(block, 0), ring_v = ring(block, shapes_.ring_size());
  ops::attention<float>({.scale = static_cast<float>(shapes_.scale),
                         .window = shapes_.window,
                         .q = heads(projected, 0, shapes_.heads),
                         .k = k,
                         .v = v,
                         .ring_k = ring_k,
                         .ring_v = ring_v,
                         .seen = seen,
                         .starts = block.starts,
                         .y = heads(y, 0, shapes_.heads),
                         .lse = {}},
                        workspace);
  ops::push_keys<float>(
      {.k = k, .v = v, .starts = block.starts, .ring_k = ring_k, .ring_v = ring_v, .seen = seen});
  forget_earlier_sequences(block, seen);
  project({.x = y, .W = out_proj_, .b = out_.bias(), .y = block.y});
  out_.apply(block.y);
}

void Attention::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "attention");
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  if (batch == 0 || time == 0) return;
  const Workspace::Scope scope(workspace);
  for (int64_t b = 0; b < batch; ++b) {
    require(time <= steps_left(args.state[b]), "attention", "the steps do not fit the window");
  }
  const View<int64_t, 1> seen(workspace.take<int64_t>(batch).data(), {batch});
  const int64_t position = 2 * shapes_.ring_size(), steps = block_steps(batch, time);
  for (int64_t b = 0; b < batch; ++b) seen(b) = position_of(args.state[b].data() + position);
  for (int64_t begin = 0; begin < time; begin += steps) {
    const int64_t count = std::min(steps, time - begin);
    Prefill block = {.u = args.u.slice(1, begin, count),
                     .state = args.state,
                     .y = args.y.slice(1, begin, count)};
    if (!args.starts.absent()) block.starts = args.starts.slice(1, begin, count);
    run(block, seen, workspace);
  }
  for (int64_t b = 0; b < batch; ++b) store_position(seen(b), args.state[b].data() + position);
}

}  // namespace

int64_t position_of(const float* pair) {
  const double position =
      std::round(static_cast<double>(pair[0])) + kHigh * std::round(static_cast<double>(pair[1]));
  return position > 0 && position < 0x1p44 ? static_cast<int64_t>(position) : 0;
}

void store_position(int64_t position, float* pair) {
  constexpr auto kLow = static_cast<int64_t>(kHigh);
  pair[0] = static_cast<float>(position % kLow);
  pair[1] = static_cast<float>(position / kLow);
}

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

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  check_no_rate("attention", rate);
  return make(Shapes(options, channels), weights);
}

std::unique_ptr<Mixer> make(const Shapes& shapes, const Weights& weights,
                            std::vector<nn::Adapter> adapters) {
  return std::make_unique<Attention>(shapes, weights, std::move(adapters));
}

}  // namespace longwave::mixers::attention
