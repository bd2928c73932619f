// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lstm/lstm.h"

#include <algorithm>

#include "longwave/mixers/option_checks.h"
#include "longwave/mixers/recurrent/recurrent_layer.h"
#include "longwave/ops/gated_rnn/gated_rnn.h"

namespace longwave::mixers::lstm {
namespace {

constexpr int64_t kGates = 4;

class Lstm : public RecurrentLayer {
 public:
  using RecurrentLayer::RecurrentLayer;

  int64_t state_size() const override { return 2 * shapes().hidden; }

 private:
  void scan(const Cell& cell) const override {
    const int64_t hidden = shapes().hidden;
    ops::lstm_scan<float>({.p = cell.p,
                           .W = W(),
                           .starts = cell.starts,
                           .h = cell.state.slice(1, 0, hidden),
                           .c = cell.state.slice(1, hidden, hidden),
                           .y = cell.h,
                           .gates = cell.gates,
                           .cells = {}});
  }
};

}  // namespace

Schema schema() {
  return {
      hidden_option(),
      {"forget_bias", 1.0, "added to the bias of the forget gate at the start: more remembers more",
       -100, 100},
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const RecurrentShapes shapes(options, channels, kGates);
  ParameterTable table = recurrent_parameters(shapes);
  Parameter& bias = *std::ranges::find(table, "input.bias", &Parameter::name);
  const auto added = static_cast<float>(options.real("forget_bias"));
  const auto hidden = static_cast<size_t>(shapes.hidden);
  bias.init = [init = bias.init, added, hidden](std::span<float> out, Random& random) {
    init(out, random);
    for (float& b : out.subspan(hidden, hidden)) b += added;
  };
  return table;
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  check_no_rate("lstm", rate);
  return std::make_unique<Lstm>(RecurrentShapes(options, channels, kGates), weights);
}

}  // namespace longwave::mixers::lstm
