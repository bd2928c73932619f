// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <utility>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/recurrent/recurrent_layer.h"
#include "longwave/nn/linear_torch.h"

namespace longwave::mixers {

/// The state (batch, size) in the type of the signal (batch, time, any), zeros if it is undefined.
inline torch::Tensor state_or_zeros(const torch::Tensor& state, const torch::Tensor& signal,
                                    int64_t size) {
  if (state.defined()) return state.to(signal.scalar_type());
  return signal.new_zeros({signal.size(0), size});
}

/// What recurrent layers have in common: the projections into and out of their recurrences.
class RecurrentTorch : public TorchMixer {
 public:
  RecurrentTorch(const RecurrentShapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("input.weight"), parameters_("input.bias")};
  }

 protected:
  int64_t hidden() const { return shapes_.hidden; }
  torch::Tensor parameter(const char* name) const { return parameters_(name); }
  /// What the layer makes of the outputs (batch, time, hidden) of its recurrence.
  torch::Tensor output_of(const torch::Tensor& y) const {
    if (!shapes_.has_output) return y;
    return nn::linear(y, parameters_("output.weight"), parameters_("output.bias"));
  }

 private:
  RecurrentShapes shapes_;
  TorchParameters parameters_;
};

}  // namespace longwave::mixers
