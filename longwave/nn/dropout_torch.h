// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace longwave::nn {

/// A seed as models take it: one int64 on the CPU, whose bits are those of the number.
torch::Tensor dropout_seed(uint64_t seed);

/// What a residual branch is multiplied with in training: 0 with probability `rate`, else
/// 1 / (1 - rate).
///
/// A pure function of seed, stream and position, so that a resumed run draws the same masks.
struct Dropout {
  double rate = 0;          ///< in [0, 1)
  torch::Tensor seed = {};  ///< of the training step, as from dropout_seed; undefined for 0
  uint64_t stream = 0;      ///< of the place in the model
};

/// A mask of `shape` with the options of `like`. A GPU reads a seed that is there when it gets to
/// it, so that passes which are recorded draw new masks each time.
torch::Tensor dropout_mask(const Dropout& dropout, at::IntArrayRef shape,
                           const torch::Tensor& like);

}  // namespace longwave::nn
