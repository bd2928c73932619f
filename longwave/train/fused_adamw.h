// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace longwave::train {

/// What a GPU decides about an update without the host: float32 scalars there, or both undefined.
struct UpdateGuard {
  torch::Tensor divisor;  ///< by which all gradients are divided first
  torch::Tensor skip;     ///< 1 if nothing may change, else 0
};

/// Tensors that one update of AdamW changes, and its settings; see AdamW.
struct AdamWUpdate {
  std::vector<torch::Tensor> parameters, gradients, means, squares;
  double lr = 0;
  double decay = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  int64_t count = 0;  ///< of updates, this one included
  UpdateGuard guard = {};
};

/// Whether libtorch has a kernel that reads and writes each number of such tensors once.
bool has_fused_adamw(const AdamWUpdate& update);

/// The update by that kernel, which alone sees to a guard.
void fused_adamw(const AdamWUpdate& update);

}  // namespace longwave::train
