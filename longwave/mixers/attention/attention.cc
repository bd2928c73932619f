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
  std::vector<StateRun> state_runs() const override {
    return {{StateRun::Kind::kExact, state_size()}};
  }
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
  int64_t journal_size() const override { return 2 * slot_size(); }
  void tentative_steps(const Tentative& args, Workspace& workspace) const override;
  void take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const override;

 private:
  void make_multipliers();
  /// Heads [first, first + count) of the steps' projections.
  View<float, 4> heads(View<float, 3> projected, int64_t first, int64_t count) const {
    return {projected.data() + first * shapes_.head_dim,
            {projected.extent(0), projected.extent(1), count, shapes_.head_dim},
            {projected.stride(0), projected.stride(1), shapes_.head_dim, 1}};
  }
  View<float, 4> ring(View<float, 2> state, int64_t begin) const {
    return {state.data() + begin,
            {state.extent(0), shapes_.window, shapes_.kv_heads, shapes_.head_dim},
            {state.stride(0), shapes_.kv_heads * shapes_.head_dim, shapes_.head_dim, 1}};
  }
  /// Heads of some steps.
  struct Attended {
    View<const float, 4> q, k, v;
    View<const uint8_t, 2> starts;
    View<float, 4> y;
  };
  /// What the steps see, and their keys and values into the rings.
  void attend(const Attended& steps, View<float, 2> state, View<int64_t, 1> seen,
              Workspace& workspace) const;
  int64_t slot_size() const { return shapes_.kv_heads * shapes_.head_dim; }
  /// Where the key (part 0) or value (part 1) of a position lies in a state row.
  float* slot(View<float, 1> state, int64_t position, int64_t part) const {
    return state.data() + part * shapes_.ring_size() + position % shapes_.window * slot_size();
  }
  /// Adds what the adapters make of u.
  void adapt(View<const float, 3> u, View<float, 3> projected, Workspace& workspace) const;
  void rotate(View<float, 4> x, View<const int64_t, 1> seen, View<const uint8_t, 2> starts) const;
  /// Some steps of the sequence: the views hold these only.
  void run(const Prefill& block, View<int64_t, 1> seen, Workspace& workspace,
           View<float, 3> journal = {}) const;
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
         ops::attention_workspace_bytes({.heads = shapes_.heads,
                                         .kv_heads = shapes_.kv_heads,
                                         .head_dim = shapes_.head_dim,
                                         .batch = batch});
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

void Attention::attend(const Attended& steps, View<float, 2> state, View<int64_t, 1> seen,
                       Workspace& workspace) const {
  const View<float, 4> ring_k = ring(state, 0), ring_v = ring(state, shapes_.ring_size());
  ops::attention<float>({.scale = static_cast<float>(shapes_.scale),
                         .window = shapes_.window,
                         .q = steps.q,
                         .k = steps.k,
                         .v = steps.v,
                         .ring_k = ring_k,
                         .ring_v = ring_v,
                         .seen = seen,
                         .starts = steps.starts,
                         .y = steps.y,
                         .lse = {}},
                        workspace);
  ops::push_keys<float>({.k = steps.k,
                         .v = steps.v,
                         .starts = steps.starts,
                         .ring_k = ring_k,
                         .ring_v = ring_v,
                         .seen = seen});
}

void Attention::run(const Prefill& block, View<int64_t, 1> seen, Workspace& workspace,
                    View<float, 3> journal) const {
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
  const Attended all = {.q = heads(projected, 0, shapes_.heads),
                        .k = k,
                        .v = v,
                        .starts = block.starts,
                        .y = heads(y, 0, shapes_.heads)};
  if (journal.absent()) {
    attend(all, block.state, seen, workspace);
  } else {
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t b = 0; b < batch; ++b) {
        for (int64_t part = 0; part < 2; ++part) {
          std::copy_n(slot(block.state[b], seen(b), part), slot_size(),
                      journal[b][t].data() + part * slot_size());
        }
      }
      attend({.q = all.q.slice(1, t, 1),
              .k = all.k.slice(1, t, 1),
              .v = all.v.slice(1, t, 1),
              .starts = {},
              .y = all.y.slice(1, t, 1)},
             block.state, seen, workspace);
    }
  }
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

void Attention::tentative_steps(const Tentative& args, Workspace& workspace) const {
  check(*this, args, "attention");
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.u.extent(0), position = 2 * shapes_.ring_size();
  const View<int64_t, 1> seen(workspace.take<int64_t>(batch).data(), {batch});
  for (int64_t b = 0; b < batch; ++b) {
    require(args.u.extent(1) <= steps_left(args.state[b]), "attention",
            "the steps do not fit the window");
    seen(b) = position_of(args.state[b].data() + position);
  }
  run(as_prefill(args), seen, workspace, args.journal);
  for (int64_t b = 0; b < batch; ++b) store_position(seen(b), args.state[b].data() + position);
}

void Attention::take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const {
  for (int64_t b = 0; b < state.extent(0); ++b) {
    float* position = state[b].data() + 2 * shapes_.ring_size();
    int64_t seen = position_of(position);
    for (int64_t t = journal.extent(1); t-- > kept;) {
      --seen;
      for (int64_t part = 0; part < 2; ++part) {
        std::copy_n(journal[b][t].data() + part * slot_size(), slot_size(),
                    slot(state[b], seen, part));
      }
    }
    store_position(seen, position);
  }
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
