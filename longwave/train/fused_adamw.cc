// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/fused_adamw.h"

#include <torch/version.h>

#include "longwave/ops/operand_torch.h"

namespace longwave::train {

// What follows came with libtorch 2.1; older ones declare no such operator.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1)
bool has_fused_adamw(const AdamWUpdate& update) {
  // It goes through memory, and so takes only tensors that lie there alike.
  for (size_t i = 0; i < update.parameters.size(); ++i) {
    const torch::Tensor& parameter = update.parameters[i];
    if (!parameter.is_cuda() || !parameter.is_contiguous()) return false;
    for (const auto* others : {&update.gradients, &update.means, &update.squares}) {
      if ((*others)[i].strides() != parameter.strides()) return false;
    }
  }
  return true;
}

void fused_adamw(const AdamWUpdate& update) {
  const torch::Tensor count =
      torch::full({}, static_cast<double>(update.count), update.parameters.front().options());
  const std::vector<torch::Tensor> counts(update.parameters.size(), count);
  at::_fused_adamw_(update.parameters, update.gradients, update.means, update.squares, {}, counts,
                    update.lr, update.beta1, update.beta2, update.decay, update.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false, ops::optional(update.guard.divisor),
                    ops::optional(update.guard.skip));
}
#else
bool has_fused_adamw(const AdamWUpdate&) { return false; }
void fused_adamw(const AdamWUpdate&) {
  TORCH_CHECK(false, "fused_adamw needs libtorch 2.1 or newer");
}
#endif

}  // namespace longwave::train
