// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/operand_torch.h"

#include <string>

#include "longwave/base/error.h"

namespace longwave::ops {

void require_tensor(const char* where, const char* name, const torch::Tensor& tensor,
                    const torch::TensorOptions& wanted, int64_t rank) {
  if (tensor.defined() && tensor.scalar_type() == wanted.dtype() && tensor.dim() == rank &&
      tensor.device() == wanted.device()) {
    return;
  }
  throw InvalidArgument(
      {.where = where,
       .what = std::string(name) + " is missing or has another type, rank or device",
       .got = tensor.defined() ? tensor.toString() + " of rank " + std::to_string(tensor.dim())
                               : "an undefined tensor",
       .fix = std::string("give it as a tensor of ") + std::string(wanted.dtype().name()) +
              " and rank " + std::to_string(rank) + " on " + wanted.device().str()});
}

}  // namespace longwave::ops
