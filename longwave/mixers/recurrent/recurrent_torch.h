// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/recurrent/recurrent_layer.h"
#include "longwave/mixers/rows_torch.h"

namespace longwave::mixers {

/// x (batch, time, in) through the product "name.weight" and its bias.
inline torch::Tensor projected(const torch::Tensor& x, const TorchParameters& parameters,
                               const std::string& name) {
  return linear_rows(x, parameters(name + ".weight"), parameters(name + ".bias"));
}

/// The state of the call in the type of u, zeros if it has none.
inline torch::Tensor state_or_zeros(const TorchMixer::Call& call, int64_t size) {
  if (call.state.defined()) return call.state.to(call.u.scalar_type());
  return call.u.new_zeros({call.u.size(0), size});
}

/// What a recurrent layer makes of its states.
inline torch::Tensor recurrent_output(const RecurrentShapes& shapes, const torch::Tensor& h,
                                      const TorchParameters& parameters) {
  return shapes.has_output ? projected(h, parameters, "output") : h;
}

}  // namespace longwave::mixers
