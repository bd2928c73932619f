// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru.h"

#include "longwave/mixers/option_checks.h"
#include "longwave/mixers/recurrent/recurrent_layer.h"
#include "longwave/ops/gated_rnn/gated_rnn.h"

namespace longwave::mixers::gru {
namespace {

constexpr int64_t kGates = 3;

class Gru : public RecurrentLayer {
 public:
  Gru(const RecurrentShapes& shapes, const Weights& weights)
      : RecurrentLayer(shapes, weights), b_(weights.view<1>("recurrent.bias", {shapes.hidden})) {}

  int64_t state_size() const override { return shapes().hidden; }

 private:
  void scan(const Cell& cell) const override {
    ops::gru_scan<float>({.p = cell.p,
                          .W = W(),
                          .b = b_,
                          .starts = cell.starts,
                          .h = cell.state,
                          .y = cell.h,
                          .gates = cell.gates});
  }

  View<const float, 1> b_;
};

}  // namespace

Schema schema() { return {hidden_option()}; }

ParameterTable parameters(const Options& options, int64_t channels) {
  const RecurrentShapes shapes(options, channels, kGates);
  ParameterTable table = recurrent_parameters(shapes);
  table.push_back({"recurrent.bias",
                   {shapes.hidden},
                   ParameterGroup::kNoDecay,
                   recurrent_parameters(shapes).front().init});
  return table;
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  check_no_rate("gru", rate);
  return std::make_unique<Gru>(RecurrentShapes(options, channels, kGates), weights);
}

}  // namespace longwave::mixers::gru
