// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/recurrent/recurrent_layer.h"

#include <algorithm>
#include <cmath>

#include "longwave/mixers/projection.h"

namespace longwave::mixers {

RecurrentShapes::RecurrentShapes(const Options& options, int64_t channel_count, int64_t gate_count)
    : channels(channel_count),
      hidden(options.integer("hidden") == 0 ? channel_count : options.integer("hidden")),
      gates(gate_count),
      has_output(options.integer("hidden") != 0) {}

Option hidden_option() {
  return {.key = "hidden",
          .value = int64_t{0},
          .help = "channels of the state, projected to those of the layer; 0 = the same, and none",
          .least = 0,
          .most = 65536};
}

ParameterTable recurrent_parameters(const RecurrentShapes& shapes) {
  const double bound = 1 / std::sqrt(static_cast<double>(shapes.hidden));
  const auto init = uniform_init(-bound, bound);
  const int64_t products = shapes.gates * shapes.hidden;
  ParameterTable table = {
      {"input.weight", {products, shapes.channels}, ParameterGroup::kMain, init, Storage::kMatrix},
      {"input.bias", {products}, ParameterGroup::kNoDecay, init},
      {"recurrent.weight", {products, shapes.hidden}, ParameterGroup::kMain, init},
  };
  if (shapes.has_output) {
    table.push_back({"output.weight",
                     {shapes.channels, shapes.hidden},
                     ParameterGroup::kMain,
                     init,
                     Storage::kMatrix});
    table.push_back({"output.bias", {shapes.channels}, ParameterGroup::kNoDecay, init});
  }
  return table;
}

RecurrentLayer::RecurrentLayer(const RecurrentShapes& shapes, const Weights& weights)
    : shapes_(shapes), weights_(weights) {
  const int64_t products = shapes.gates * shapes.hidden;
  W_in_ = weights.matrix("input.weight", {products, shapes.channels});
  b_in_ = weights.view<1>("input.bias", {products});
  W_ = weights.view<2>("recurrent.weight", {products, shapes.hidden});
  if (!shapes.has_output) return;
  W_out_ = weights.matrix("output.weight", {shapes.channels, shapes.hidden});
  b_out_ = weights.view<1>("output.bias", {shapes.channels});
}

size_t RecurrentLayer::workspace_bytes(int64_t batch, int64_t time) const {
  return Workspace::bytes_for<float>(batch * time * shapes_.gates * shapes_.hidden) +
         Workspace::bytes_for<float>(batch * time * shapes_.hidden) +
         Workspace::bytes_for<float>(batch * 4 * shapes_.hidden);
}

void RecurrentLayer::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "recurrent layer");
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.u.extent(0), time = args.u.extent(1), hidden = shapes_.hidden;
  const int64_t products = shapes_.gates * hidden;
  const View<float, 3> p(workspace.take<float>(batch * time * products).data(),
                         {batch, time, products});
  const View<float, 3> h(workspace.take<float>(batch * time * hidden).data(),
                         {batch, time, hidden});
  const View<float, 3> gates(workspace.take<float>(batch * 4 * hidden).data(),
                             {batch, time, 4 * hidden}, {4 * hidden, 0, 1});
  project({.x = args.u, .W = W_in_, .b = b_in_, .y = p});
  scan({.p = p, .starts = args.starts, .state = args.state, .h = h, .gates = gates});
  if (shapes_.has_output) return project({.x = h, .W = W_out_, .b = b_out_, .y = args.y});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t i = 0; i < hidden; ++i) args.y(b, t, i) = h(b, t, i);
    }
  }
}

void RecurrentLayer::step(const Step& args, Workspace& workspace) const {
  check(*this, args, "recurrent layer");
  prefill(as_prefill(args), workspace);
}

}  // namespace longwave::mixers
