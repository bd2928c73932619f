// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/mixers/multipliers.h"
#include "longwave/mixers/projection.h"
#include "longwave/mixers/selective_blocks.h"
#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::mixers::mamba2 {
namespace {

class Mamba2 : public Mixer {
 public:
  Mamba2(const Settings& settings, const Weights& weights, double rate);

  int64_t channels() const override { return settings_.channels; }
  int64_t state_size() const override { return settings_.state_size(); }
  bool packs() const override { return true; }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "mamba2");
    prefill(as_prefill(args), workspace);
  }
  void tentative_steps(const Tentative& args, Workspace& workspace) const override {
    check(*this, args, "mamba2");
    run(as_prefill(args), workspace, args.journal);
  }

 private:
  void make_multipliers();
  /// Some steps of the sequence: the views hold these only. A journal is of tentative steps.
  void run(const Prefill& block, Workspace& workspace, View<float, 3> journal = {}) const;
  /// y = scan of x, B and C side by side, with step sizes from dt.
  void scan(const Prefill& block, View<const float, 3> xBC, View<const float, 3> dt,
            View<float, 3> y, Workspace& workspace) const;
  void gate(View<const float, 3> z, View<float, 3> y) const;

  Settings settings_;
  Weights weights_;  // keeps alive what the views look at
  ShortConvolution conv_;
  Matrix in_proj_, out_proj_;
  View<const float, 1> dt_bias_, norm_;
  Multipliers in_, out_;  // with the biases of the projections
  float rate_;
  std::vector<float> A_, D_;  // (heads) times the rate, (heads, 1 or head_dim) by the rate
};

Mamba2::Mamba2(const Settings& settings, const Weights& weights, double rate)
    : settings_(settings),
      weights_(weights),
      in_proj_(weights.matrix("in_proj.weight", {settings.projected(), settings.channels})),
      out_proj_(weights.matrix("out_proj.weight", {settings.channels, settings.inner})),
      dt_bias_(weights.view<1>("dt_bias", {settings.heads})),
      rate_(static_cast<float>(rate)) {
  const int64_t convolved = settings.convolved();
  const auto conv = weights.view<3>("conv1d.weight", {convolved, 1, settings.width});
  conv_.w = {conv.data(), {convolved, settings.width}};
  if (settings.conv_bias) conv_.b = weights.view<1>("conv1d.bias", {convolved});
  if (settings.has_norm) norm_ = weights.view<1>("norm.weight", {settings.inner});
  make_multipliers();
  for (float value : weights.get("A_log", {settings.heads})) {
    A_.push_back(static_cast<float>(-rate * std::exp(static_cast<double>(value))));
  }
  // A step size enters the decay, and the state through the input: a state divided by the rate
  // takes the input as it is, and its readout is multiplied.
  for (float value :
       weights.get("D", {settings.skip_per_channel ? settings.inner : settings.heads})) {
    D_.push_back(static_cast<float>(value / rate));
  }
}

void Mamba2::make_multipliers() {
  View<const float, 1> in_bias, out_bias;
  if (settings_.bias) {
    in_bias = weights_.view<1>("in_proj.bias", {settings_.projected()});
    out_bias = weights_.view<1>("out_proj.bias", {settings_.channels});
  }
  const Settings::PartMultipliers& m = settings_.multipliers;
  const int64_t selected = settings_.groups * settings_.state;
  in_ = Multipliers({{settings_.inner, m.in, m.z},
                     {settings_.inner, m.in, m.x},
                     {selected, m.in, m.B},
                     {selected, m.in, m.C},
                     {settings_.heads, m.in, m.dt}},
                    in_bias);
  out_ = Multipliers({{settings_.channels, 1, m.out}}, out_bias);
}

size_t Mamba2::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t steps = block_steps(batch, time), rows = batch * steps;
  return Workspace::bytes_for<float>(rows * settings_.projected()) +
         Workspace::bytes_for<float>(rows * settings_.convolved()) +
         Workspace::bytes_for<float>(rows * settings_.inner) +
         ops::ssd_workspace_bytes({.batch = batch,
                                   .time = steps,
                                   .heads = settings_.heads,
                                   .head_dim = settings_.head_dim,
                                   .groups = settings_.groups,
                                   .state = settings_.state});
}

/// Channels [begin, begin + parts size) of each step as (batch, time, parts, size).
template <typename T>
View<T, 4> split(const View<T, 3>& x, int64_t begin, int64_t parts, int64_t size) {
  return {x.data() + begin * x.stride(2),
          {x.extent(0), x.extent(1), parts, size},
          {x.stride(0), x.stride(1), size * x.stride(2), x.stride(2)}};
}

void Mamba2::scan(const Prefill& block, View<const float, 3> xBC, View<const float, 3> dt,
                  View<float, 3> y, Workspace& workspace) const {
  const int64_t heads = settings_.heads, head_dim = settings_.head_dim, groups = settings_.groups;
  const int64_t inner = settings_.inner, state = settings_.state, batch = y.extent(0);
  const ops::SsdArgs<float> args = {
      .x = split(xBC, 0, heads, head_dim),
      .dt = dt,
      .A = {A_.data(), {heads}},
      .B = split(xBC, inner, groups, state),
      .C = split(xBC, inner + groups * state, groups, state),
      .D = {D_.data(), {heads, settings_.skip_per_channel ? head_dim : 1}},
      .dt_bias = dt_bias_,
      .starts = block.starts,
      .limits = {.least = static_cast<float>(settings_.dt_least),
                 .most = static_cast<float>(settings_.dt_most)},
      .h = {block.state.data() + settings_.history_size(),
            {batch, heads, head_dim, state},
            {block.state.stride(0), head_dim * state, state, 1}},
      .y = split(y, 0, heads, head_dim)};
  if (y.extent(1) == 1) {
    ops::ssd_step(args);
  } else {
    ops::ssd(args, workspace);
  }
  if (rate_ == 1) return;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < y.extent(1); ++t) {
      for (int64_t i = 0; i < inner; ++i) y(b, t, i) *= rate_;
    }
  }
}

void Mamba2::gate(View<const float, 3> z, View<float, 3> y) const {
  if (settings_.has_norm) {
    ops::gated_norm<float>({.order = settings_.order,
                            .groups = settings_.norm_groups,
                            .epsilon = settings_.norm_epsilon,
                            .x = all_rows(y),
                            .z = all_rows(z),
                            .w = norm_,
                            .y = all_rows(y),
                            .inverse = {}});
    return;
  }
  ops::gate<float>(
      {.f = ops::Activation::kSilu, .value = all_rows(y), .gate = all_rows(z), .y = all_rows(y)});
}

void Mamba2::run(const Prefill& block, Workspace& workspace, View<float, 3> journal) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = block.u.extent(0), time = block.u.extent(1), inner = settings_.inner;
  const auto take = [&](int64_t size) {
    return View<float, 3>(workspace.take<float>(batch * time * size).data(), {batch, time, size});
  };
  const View<float, 3> projected = take(settings_.projected()), y = take(inner);
  project({.x = block.u, .W = in_proj_, .b = in_.bias(), .y = projected});
  in_.apply(projected);
  const View<float, 3> z = projected.slice(2, 0, inner);
  const View<float, 3> dt = projected.slice(2, inner + settings_.convolved(), settings_.heads);
  const View<float, 3> to_convolve = projected.slice(2, inner, settings_.convolved());
  if (journal.absent()) {
    const View<float, 3> xBC = conv_.apply(block, to_convolve, workspace);
    scan(block, xBC, dt, y, workspace);
  } else {
    const int64_t history = settings_.history_size(), rest = state_size() - history;
    const View<float, 3> xBC =
        conv_.apply(block, to_convolve, workspace, journal.slice(2, 0, history));
    for (int64_t t = 0; t < time; ++t) {
      copy_rows(block.state.slice(1, history, rest), at_step(journal, t).slice(1, history, rest));
      scan(block, xBC.slice(1, t, 1), dt.slice(1, t, 1), y.slice(1, t, 1), workspace);
    }
  }
  gate(z, y);
  project({.x = y, .W = out_proj_, .b = out_.bias(), .y = block.y});
  out_.apply(block.y);
}

void Mamba2::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "mamba2");
  run_in_blocks(args, [&](const Prefill& block) { run(block, workspace); });
}

}  // namespace

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  return std::make_unique<Mamba2>(Settings(options, channels), weights, rate);
}

}  // namespace longwave::mixers::mamba2
