// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

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

/// What a recurrent layer makes of its states.
inline torch::Tensor recurrent_output(const RecurrentShapes& shapes, const torch::Tensor& h,
                                      const TorchParameters& parameters) {
  return shapes.has_output ? nn::linear(h, parameters("output.weight"), parameters("output.bias"))
                           : h;
}

}  // namespace longwave::mixers
