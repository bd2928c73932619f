// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/mixers/mixer_torch.h"

namespace longwave::mixers {

/// SisoFactors with gradients; see diagonal_siso.h for the formula.
struct SisoFactorsTorch {
  torch::Tensor a;       // (channels, modes) complex
  torch::Tensor c;       // (channels, modes) complex
  torch::Tensor c_back;  // (channels, modes) complex, or undefined: causal
  torch::Tensor D;       // (channels)
};

/// DiagonalSiso with gradients for u, state and all factors.
///
/// Numerics   factors and states are float32 beside u of 16 bits, else rounded to the type of u.
TorchMixer::Output diagonal_siso(const SisoFactorsTorch& factors, const TorchMixer::Call& call);

}  // namespace longwave::mixers
