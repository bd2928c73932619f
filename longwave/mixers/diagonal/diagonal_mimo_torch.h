// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include "longwave/mixers/mixer_torch.h"

namespace longwave::mixers {

/// MimoFactors with gradients; see diagonal_mimo.h for the formula.
struct MimoFactorsTorch {
  torch::Tensor a;       // (modes), or (batch, time, modes) where it varies; complex
  torch::Tensor B;       // (modes, channels) complex
  torch::Tensor scale;   // (batch, time, modes) complex factor on B u, or undefined
  torch::Tensor C;       // (channels, modes) complex
  torch::Tensor C_back;  // (channels, modes) complex, or undefined: causal
  torch::Tensor D;       // (channels)
};

/// DiagonalMimo with gradients for u, state and all factors. A bidirectional layer must not vary.
///
/// Numerics   factors are rounded to the type of u; beside u of 16 bits poles, states and the skip
///            are float32, and what enters and leaves the states passes through the type of u.
TorchMixer::Output diagonal_mimo(const MimoFactorsTorch& factors, const TorchMixer::Call& call);

}  // namespace longwave::mixers
