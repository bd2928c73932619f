// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"

namespace longwave::mixers {

/// Extents of a recurrent layer: what LSTM and GRU have in common.
struct RecurrentShapes {
  int64_t channels;
  int64_t hidden;   ///< channels of the state
  int64_t gates;    ///< products with the state in a step, 4 or 3
  bool has_output;  ///< whether a product leads from the state to the channels

  RecurrentShapes(const Options& options, int64_t channel_count, int64_t gate_count);
};

/// The option "hidden".
Option hidden_option();

/// input.weight, input.bias, recurrent.weight and, with "hidden", output.weight, output.bias, all
/// uniform on +-1 / sqrt(hidden) as torch starts them.
ParameterTable recurrent_parameters(const RecurrentShapes& shapes);

/// A layer whose steps wait for each other:  p = W_in u + b for all steps, then the cell, then
/// y = h or W_out h + b.
///
/// Threads    immutable: share it freely.
class RecurrentLayer : public Mixer {
 public:
  RecurrentLayer(const RecurrentShapes& shapes, const Weights& weights);

  int64_t channels() const override { return shapes_.channels; }
  bool packs() const override { return true; }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override;

 protected:
  struct Cell {
    View<const float, 3> p;  // (batch, time, gates hidden)
    View<const uint8_t, 2> starts;
    View<float, 2> state;  // (batch, state_size)
    View<float, 3> h;      // (batch, time, hidden) out
    View<float, 3> gates;  // (batch, time, 4 hidden) scratch of one step
  };
  virtual void scan(const Cell& cell) const = 0;

  const RecurrentShapes& shapes() const { return shapes_; }
  View<const float, 2> W() const { return W_; }

 private:
  RecurrentShapes shapes_;
  Weights weights_;  // keeps alive what the views look at
  Matrix W_in_, W_out_;
  View<const float, 2> W_;
  View<const float, 1> b_in_, b_out_;
};

}  // namespace longwave::mixers
