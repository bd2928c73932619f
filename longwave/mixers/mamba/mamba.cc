// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "longwave/mixers/projection.h"
#include "longwave/mixers/selective_blocks.h"
#include "longwave/mixers/selective_init.h"
#include "longwave/ops/norm/norm.h"
#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::mixers::mamba {
namespace {

class Mamba : public Mixer {
 public:
  Mamba(const Shapes& shapes, const Weights& weights, double rate);

  int64_t channels() const override { return shapes_.channels; }
  int64_t state_size() const override { return shapes_.state_size(); }
  bool packs() const override { return true; }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "mamba");
    prefill(as_prefill(args), workspace);
  }
  void tentative_steps(const Tentative& args, Workspace& workspace) const override {
    check(*this, args, "mamba");
    run(as_prefill(args), workspace, args.journal);
  }

 private:
  ops::SelectiveScanSize scan_size(int64_t batch) const {
    return {.batch = batch, .channels = shapes_.inner, .groups = 1, .state = shapes_.state};
  }
  void read_selection_norms();
  void norm_selections(View<float, 3> selections) const;
  /// Some steps of the sequence: the views hold these only. A journal is of tentative steps.
  void run(const Prefill& block, Workspace& workspace, View<float, 3> journal = {}) const;

  Shapes shapes_;
  Weights weights_;  // keeps alive what the views look at
  ShortConvolution conv_;
  Matrix in_proj_, x_proj_, dt_proj_, out_proj_;
  View<const float, 1> in_bias_, dt_bias_, D_, out_bias_;
  std::vector<float> A_;  // (inner, state), times the rate
  float rate_;
  std::vector<float> norms_;  // weights of the norms of dt, B and C, or none
};

View<const float, 1> optional(const Weights& weights, const char* name, bool present,
                              int64_t size) {
  return present ? weights.view<1>(name, {size}) : View<const float, 1>();
}

/// A step size enters the decay, and the input through B: multiplying both is multiplying it.
void multiply(View<float, 3> B, float rate) {
  for (int64_t b = 0; b < B.extent(0); ++b) {
    for (int64_t t = 0; t < B.extent(1); ++t) {
      for (int64_t n = 0; n < B.extent(2); ++n) B(b, t, n) *= rate;
    }
  }
}

Mamba::Mamba(const Shapes& shapes, const Weights& weights, double rate)
    : shapes_(shapes),
      weights_(weights),
      in_proj_(weights.matrix("in_proj.weight", {2 * shapes.inner, shapes.channels})),
      x_proj_(weights.matrix("x_proj.weight", {shapes.selections(), shapes.inner})),
      dt_proj_(weights.matrix("dt_proj.weight", {shapes.inner, shapes.dt_rank})),
      out_proj_(weights.matrix("out_proj.weight", {shapes.channels, shapes.inner})),
      in_bias_(optional(weights, "in_proj.bias", shapes.bias, 2 * shapes.inner)),
      dt_bias_(weights.view<1>("dt_proj.bias", {shapes.inner})),
      D_(weights.view<1>("D", {shapes.inner})),
      out_bias_(optional(weights, "out_proj.bias", shapes.bias, shapes.channels)),
      rate_(static_cast<float>(rate)) {
  const auto conv = weights.view<3>("conv1d.weight", {shapes.inner, 1, shapes.width});
  conv_ = {.w = {conv.data(), {shapes.inner, shapes.width}},
           .b = optional(weights, "conv1d.bias", shapes.conv_bias, shapes.inner)};
  for (float value : weights.get("A_log", {shapes.inner, shapes.state})) {
    A_.push_back(static_cast<float>(-rate * std::exp(static_cast<double>(value))));
  }
  if (shapes.selection_norm != Shapes::SelectionNorm::kNone) read_selection_norms();
}

void Mamba::read_selection_norms() {
  norms_.assign(static_cast<size_t>(shapes_.selections()), 1.0f);
  if (shapes_.selection_norm == Shapes::SelectionNorm::kLearned) {
    norms_.clear();
    for (const auto& [name, size] : {std::pair{"dt_layernorm.weight", shapes_.dt_rank},
                                     {"b_layernorm.weight", shapes_.state},
                                     {"c_layernorm.weight", shapes_.state}}) {
      const auto weight = weights_.get(name, {size});
      norms_.insert(norms_.end(), weight.begin(), weight.end());
    }
  }
}

void Mamba::norm_selections(View<float, 3> selections) const {
  if (norms_.empty()) return;
  int64_t first = 0;
  for (const int64_t size : {shapes_.dt_rank, shapes_.state, shapes_.state}) {
    const View<float, 2> part = all_rows(selections.slice(2, first, size));
    ops::row_norm<float>({.kind = ops::RowNorm::kRms,
                          .epsilon = shapes_.selection_epsilon,
                          .x = part,
                          .w = {norms_.data() + first, {size}},
                          .b = {},
                          .y = part,
                          .moments = {}});
    first += size;
  }
}

size_t Mamba::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t rows = batch * block_steps(batch, time);
  return Workspace::bytes_for<float>(rows * 2 * shapes_.inner) +
         3 * Workspace::bytes_for<float>(rows * shapes_.inner) +
         Workspace::bytes_for<float>(rows * shapes_.selections()) +
         ops::selective_scan_workspace_bytes(scan_size(batch));
}

/// Each step of the scan by itself, after its state row went into the journal if there is one.
void step_by_step(const ops::SelectiveScanArgs<float>& args, View<float, 2> state,
                  View<float, 3> journal) {
  for (int64_t t = 0; t < args.y.extent(1); ++t) {
    if (!journal.absent()) copy_rows(state, at_step(journal, t));
    ops::SelectiveScanArgs<float> step = args;
    step.in.u = args.in.u.slice(1, t, 1);
    step.in.dt = args.in.dt.slice(1, t, 1);
    step.in.B = args.in.B.slice(1, t, 1);
    step.in.C = args.in.C.slice(1, t, 1);
    step.in.z = args.in.z.slice(1, t, 1);
    if (!args.in.starts.absent()) step.in.starts = args.in.starts.slice(1, t, 1);
    step.y = args.y.slice(1, t, 1);
    ops::selective_scan_step(step);
  }
}

void Mamba::run(const Prefill& block, Workspace& workspace, View<float, 3> journal) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = block.u.extent(0), time = block.u.extent(1), inner = shapes_.inner;
  const auto take = [&](int64_t size) {
    return View<float, 3>(workspace.take<float>(batch * time * size).data(), {batch, time, size});
  };
  const View<float, 3> xz = take(2 * inner), dt = take(inner), y = take(inner);
  const View<float, 3> selections = take(shapes_.selections());
  project({.x = block.u, .W = in_proj_, .b = in_bias_, .y = xz});
  const int64_t history = shapes_.history_size();
  View<float, 3> histories, states;
  if (!journal.absent()) {
    histories = journal.slice(2, 0, history);
    states = journal.slice(2, history, journal.extent(2) - history);
  }
  const View<float, 3> x = conv_.apply(block, xz.slice(2, 0, inner), workspace, histories);
  project({.x = x, .W = x_proj_, .b = {}, .y = selections});
  norm_selections(selections);
  if (rate_ != 1) multiply(selections.slice(2, shapes_.dt_rank, shapes_.state), rate_);
  project({.x = selections.slice(2, 0, shapes_.dt_rank), .W = dt_proj_, .b = {}, .y = dt});
  const auto select = [&](int64_t first) {
    return View<const float, 4>(selections.data() + first, {batch, time, 1, shapes_.state},
                                {selections.stride(0), selections.stride(1), shapes_.state, 1});
  };
  ops::SelectiveScanArgs<float> args = {.in = {.u = x,
                                               .dt = dt,
                                               .A = {A_.data(), {inner, shapes_.state}},
                                               .B = select(shapes_.dt_rank),
                                               .C = select(shapes_.dt_rank + shapes_.state),
                                               .D = D_,
                                               .dt_bias = dt_bias_,
                                               .z = xz.slice(2, inner, inner),
                                               .starts = block.starts},
                                        .h = {block.state.data() + history,
                                              {batch, inner, shapes_.state},
                                              {block.state.stride(0), shapes_.state, 1}},
                                        .y = y,
                                        .states = {}};
  if (time > 1 && journal.absent()) {
    ops::selective_scan(args, workspace);
  } else {
    step_by_step(args, block.state.slice(1, history, inner * shapes_.state), states);
  }
  project({.x = y, .W = out_proj_, .b = out_bias_, .y = block.y});
}

void Mamba::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "mamba");
  run_in_blocks(args, [&](const Prefill& block) { run(block, workspace); });
}

/// log(1), ..., log(state) in every row: the start of S4D-Real.
void init_A_log(std::span<float> out, int64_t state) {
  for (size_t i = 0; i < out.size(); ++i) {
    const auto n = static_cast<int64_t>(i) % state;
    out[i] = static_cast<float>(std::log(static_cast<double>(n + 1)));
  }
}

}  // namespace

Shapes::Shapes(const Options& options, int64_t channel_count)
    : channels(channel_count),
      inner(options.integer("expand") * channel_count),
      state(options.integer("state")),
      width(options.integer("width")),
      dt_rank(options.integer("dt_rank") == 0 ? (channel_count + 15) / 16
                                              : options.integer("dt_rank")),
      conv_bias(options.flag("conv_bias")),
      bias(options.flag("bias")),
      selection_norm(options.text("selection_norm") == "none"    ? SelectionNorm::kNone
                     : options.text("selection_norm") == "plain" ? SelectionNorm::kPlain
                                                                 : SelectionNorm::kLearned),
      selection_epsilon(static_cast<float>(options.real("selection_epsilon"))) {}

Schema schema() {
  Schema schema = {
      {"state", int64_t{16}, "state dimension N of a channel of the scan", 1, 65536},
      {"expand", int64_t{2}, "channels of the scan, in multiples of those of the layer", 1, 64},
      {"width", int64_t{4}, "taps of the convolution before the scan", 1, 128},
      {"dt_rank", int64_t{0}, "channels that step sizes are made from; 0 = channels / 16", 0,
       65536},
      {"conv_bias", true, "whether the convolution has a bias"},
      {"bias", false, "whether the projections in and out have biases"},
      {.key = "selection_norm",
       .value = std::string("none"),
       .help = "divide dt, B and C by their root mean square before use: as FalconMamba (plain) or "
               "with weights as Jamba (learned); not for training",
       .choices = {"none", "plain", "learned"}},
      {"selection_epsilon", 1e-6, "added to the mean square of selection_norm", 0, 1},
      {.key = "dt_init",
       .value = std::string("random"),
       .help = "start of dt_proj.weight: uniform on +-dt_rank^-1/2 dt_scale, or that constant",
       .choices = {"random", "constant"}},
      {"dt_scale", 1.0, "multiplies the start of dt_proj.weight", 0, 1e3},
  };
  Schema step = step_size_options();
  schema.insert(schema.end(), step.begin(), step.end());
  return schema;
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Shapes shapes(options, channels);
  const int64_t inner = shapes.inner, state = shapes.state;
  const auto uniform = [](int64_t inputs) {
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    return uniform_init(-bound, bound);
  };
  const double dt = options.real("dt_scale") / std::sqrt(static_cast<double>(shapes.dt_rank));
  const auto dt_init = options.text("dt_init") == "constant" ? constant_init(static_cast<float>(dt))
                                                             : uniform_init(-dt, dt);
  const auto A_log = [state](std::span<float> out, Random&) { init_A_log(out, state); };
  ParameterTable table = {
      {"in_proj.weight",
       {2 * inner, channels},
       ParameterGroup::kMain,
       uniform(channels),
       Storage::kMatrix},
      {"conv1d.weight", {inner, 1, shapes.width}, ParameterGroup::kMain, uniform(shapes.width)},
      {"x_proj.weight",
       {shapes.selections(), inner},
       ParameterGroup::kMain,
       uniform(inner),
       Storage::kMatrix},
      // Step sizes are worth all their bits.
      {"dt_proj.weight", {inner, shapes.dt_rank}, ParameterGroup::kMain, dt_init},
      {"dt_proj.bias", {inner}, ParameterGroup::kSsm, step_size_bias_init("mamba", options)},
      {"A_log", {inner, state}, ParameterGroup::kSsm, A_log},
      {"D", {inner}, ParameterGroup::kNoDecay, constant_init(1)},
      {"out_proj.weight",
       {channels, inner},
       ParameterGroup::kMain,
       uniform(inner),
       Storage::kMatrix},
  };
  if (shapes.conv_bias) {
    table.push_back({"conv1d.bias", {inner}, ParameterGroup::kNoDecay, uniform(shapes.width)});
  }
  if (shapes.bias) {
    table.push_back({"in_proj.bias", {2 * inner}, ParameterGroup::kNoDecay, constant_init(0)});
    table.push_back({"out_proj.bias", {channels}, ParameterGroup::kNoDecay, constant_init(0)});
  }
  if (shapes.selection_norm == Shapes::SelectionNorm::kLearned) {
    for (const auto& [name, size] : {std::pair{"dt_layernorm.weight", shapes.dt_rank},
                                     {"b_layernorm.weight", state},
                                     {"c_layernorm.weight", state}}) {
      table.push_back({name, {size}, ParameterGroup::kNoDecay, constant_init(1)});
    }
  }
  return table;
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  return std::make_unique<Mamba>(Shapes(options, channels), weights, rate);
}

}  // namespace longwave::mixers::mamba
