// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace longwave::nn {

/// What a residual branch is multiplied with in training: 0 with probability `rate`, else
/// 1 / (1 - rate).
///
/// A pure function of seed, stream and position, so that a resumed run draws the same masks.
struct Dropout {
  double rate = 0;      ///< in [0, 1)
  uint64_t seed = 0;    ///< of the training step
  uint64_t stream = 0;  ///< of the place in the model
};

/// A mask of `shape` with the options of `like`.
torch::Tensor dropout_mask(const Dropout& dropout, at::IntArrayRef shape,
                           const torch::Tensor& like);

}  // namespace longwave::nn
